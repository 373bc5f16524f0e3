"""A worker dies at each step of an update's way, under load. Lost 0, wrong 0."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import LEASE_SECONDS
from tests.service import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.faults.conftest import Load
    from tests.service import Service

STEPS = [
    *("fetched", "understood", "batched", "locked", "committed"),
    *("published partly", "published", "acknowledged"),
]


@pytest.mark.parametrize("others", [0, 1], ids=["one worker", "two workers"])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step(service: Service, load: Load, step: str, others: int) -> None:
    """What was settled is told as settled, by whom it was settled, and nothing is missing."""
    for _ in range(others):
        service.start_worker(SETTLE_LEASE_SECONDS=LEASE_SECONDS)
    crashing = service.start_worker(
        module="tests.faults.crashing",
        CRASH_AT=step,
        CRASH_AT_TIME="20",
        SETTLE_LEASE_SECONDS=LEASE_SECONDS,
    )
    assert crashing.process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    service.start_worker(SETTLE_LEASE_SECONDS=LEASE_SECONDS)
    load.finish()
