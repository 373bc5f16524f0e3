"""A worker takes a bounded amount of memory; `python -m tests.faults.memory` is the long form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.memory import BOUND_MEBIBYTES, measure

if TYPE_CHECKING:
    from tests.faults.rig import Rig


@pytest.mark.storms
@pytest.mark.parametrize("stalled", [False, True], ids=["working", "stalled"])
@pytest.mark.parametrize(("messages", "updates_each"), [(50_000, 1), (300, 1_000)])
def test_memory_is_bounded(
    unloaded_rig: Rig, messages: int, updates_each: int, *, stalled: bool
) -> None:
    """By what a worker holds, not by what waits, nor by how large messages are."""
    seen = measure(unloaded_rig, messages, updates_each, stalled=stalled)
    assert seen.growth < BOUND_MEBIBYTES, seen
