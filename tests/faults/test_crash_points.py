"""A worker dies at each step of an update's way, under load. Lost 0, wrong 0."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.stages import alone
from tests.faults.storms import Storm, weather
from tests.faults.strikes import nothing
from tests.service import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.faults.rig import Rig

BROKERS = pytest.mark.parametrize(
    "unloaded_rig", ["Redis", pytest.param("RabbitMQ", marks=pytest.mark.rabbitmq)], indirect=True
)
WORKERS = pytest.mark.parametrize(
    "others",
    [
        pytest.param(0, id="one worker"),
        pytest.param(1, id="two workers", marks=pytest.mark.storms),
    ],
)
STEPS = [
    *("fetched", "understood", "batched", "asked", "committed"),
    *("applied", "published partly", "published", "acknowledged"),
]


@BROKERS
@WORKERS
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step(rig: Rig, step: str, others: int) -> None:
    """What was settled is told as settled, by whom it was settled, and nothing is missing."""
    for _ in range(others):
        rig.start_worker()
    crashing = rig.start_worker(module="tests.faults.crashing", CRASH_AT=step, CRASH_AT_TIME="20")
    assert crashing.process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    rig.workers.remove(crashing)
    result = weather(rig, Storm("the next one", alone(nothing), 1, 1), 1)
    assert (result.lost, result.wrong, result.dead_letters) == (0, 0, 0), result.examples
