"""A stop comes to an end, whatever else does not."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.storms import Storm, nothing, weather

if TYPE_CHECKING:
    from tests.faults.rig import Rig
    from tests.service import Worker

POOLS = pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])


def settle_the_rest(rig: Rig) -> None:
    """Let another worker do what is left, and account for everything."""
    rig.workers.clear()
    rig.options = ()
    result = weather(rig, Storm("the next one", nothing, 1, 1), 1)
    assert (result.lost, result.wrong, result.dead_letters) == (0, 0, 0), result.examples


def start_and_work(rig: Rig, pool: str, **settings: str) -> Worker:
    """Give a worker that is at work."""
    rig.options = ("--pool", pool)
    worker = rig.start_worker(**settings)
    worker.wait_for_log('"batch settled", "batch": 20')
    return worker


@POOLS
def test_a_stop_ends_though_the_database_does_not_answer(rig: Rig, pool: str) -> None:
    """What was held goes back, and the process does not wait for its slots for ever."""
    worker = start_and_work(rig, pool, SETTLE_STOP_TIMEOUT_SECONDS="1")
    with rig.frozen_database():
        worker.stop()
        assert "not everything held could be finished" in worker.log.read_text() or pool == "solo"
    settle_the_rest(rig)


@POOLS
def test_a_second_signal_is_hard(rig: Rig, pool: str) -> None:
    """The worker does not take the time that it was given for the first."""
    worker = start_and_work(rig, pool, SETTLE_STOP_TIMEOUT_SECONDS="3600")
    with rig.frozen_database():
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_for_log("Warm shutdown")
        assert worker.stop() != 0
    settle_the_rest(rig)


@POOLS
def test_a_stop_while_the_database_is_away(rig: Rig, pool: str) -> None:
    """A batch that waits for its next try goes back at once, and the exit is a clean one."""
    worker = start_and_work(rig, pool)
    rig.postgres.stop()
    worker.wait_for_log("batches are held")
    assert worker.stop() == os.EX_OK
    assert rig.service.redis.hlen("unacked") == 0
    rig.postgres.start()
    settle_the_rest(rig)
