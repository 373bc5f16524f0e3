"""A stop comes to an end, whatever else does not."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.stages import alone
from tests.faults.storms import Storm, weather
from tests.faults.strikes import nothing
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.rig import Rig
    from tests.service import Worker

pytestmark = pytest.mark.storms
POOLS = pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])


def settle_the_rest(rig: Rig) -> None:
    """Let another worker do what is left, and account for everything."""
    rig.workers.clear()
    rig.options = ()
    result = weather(rig, Storm("the next one", alone(nothing), 1, 1), 1)
    assert (result.lost, result.wrong, result.dead_letters) == (0, 0, 0), result.examples


def start_and_work(rig: Rig, pool: str, **settings: str) -> Worker:
    """Give a worker that is at work."""
    rig.options = ("--pool", pool)
    worker = rig.start_worker(**settings)
    worker.wait_for_log('"batch settled", "batch": 20')
    return worker


def has_stalled(rig: Rig) -> bool:
    """Return whether something is held that nobody finishes."""
    held = set(rig.service.redis.hkeys("event-status-updates.unacked"))
    time.sleep(0.5)
    return not held.isdisjoint(rig.service.redis.hkeys("event-status-updates.unacked"))


@contextmanager
def stalled_by_the_database(rig: Rig) -> Iterator[None]:
    """Let the worker have something in hand that it cannot finish.

    A worker that the freeze finds between two batches has not: it would stop at once.
    """
    with rig.frozen_database():
        eventually(lambda: has_stalled(rig))
        yield


@POOLS
def test_a_stop_ends_though_the_database_does_not_answer(rig: Rig, pool: str) -> None:
    """What was held goes back, and the process does not wait for its slots for ever."""
    worker = start_and_work(rig, pool, SETTLE_STOP_TIMEOUT_SECONDS="1")
    with stalled_by_the_database(rig):
        worker.stop()
        assert "not everything held could be finished" in worker.log.read_text() or pool == "solo"
    settle_the_rest(rig)


@POOLS
def test_a_second_signal_is_hard(rig: Rig, pool: str) -> None:
    """The worker does not take the time that it was given for the first."""
    worker = start_and_work(rig, pool, SETTLE_STOP_TIMEOUT_SECONDS="3600")
    with stalled_by_the_database(rig):
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
    assert rig.service.redis.hlen("event-status-updates.unacked") == 0
    rig.postgres.start()
    settle_the_rest(rig)
