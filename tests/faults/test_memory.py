"""A worker takes a bounded amount of memory; `python -m tests.faults.memory` is the long form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.backlogs import Backlog, odd, ordinary
from tests.faults.memory import BOUND_MEBIBYTES, measure

if TYPE_CHECKING:
    from tests.faults.rig import Rig

BACKLOGS = (*ordinary(50_000, 300), *odd(40))


@pytest.mark.storms
@pytest.mark.parametrize("stalled", [False, True], ids=["working", "stalled"])
@pytest.mark.parametrize("backlog", BACKLOGS, ids=[backlog.name for backlog in BACKLOGS])
def test_memory_is_bounded(unloaded_rig: Rig, backlog: Backlog, *, stalled: bool) -> None:
    """By what a worker holds, not by what waits, nor by how large messages are or become."""
    seen = measure(unloaded_rig, backlog, stalled=stalled)
    assert seen.growth < BOUND_MEBIBYTES, seen
