"""Breaking things under load, in short; `python -m tests.faults` is the long form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from tests.faults.stages import alone
from tests.faults.storms import (
    STORMS,
    STORMS_BEHIND_SENTINELS,
    STORMS_OF_FAILOVERS,
    STORMS_ON_A_CLUSTER,
    STORMS_ON_RABBITMQ,
    Storm,
    weather,
)
from tests.faults.strikes import CHANCE, crash_the_broker, kill_a_worker
from tests.hosts import HostsUnavailable

if TYPE_CHECKING:
    from tests.faults.rig import Rig


pytestmark = pytest.mark.storms


def check(rig: Rig, storm: Storm, times: int) -> None:
    """Let a storm strike; nothing is lost, nothing untrue is told, and nobody gets stuck."""
    result = weather(rig, storm, times)
    assert (result.lost, result.wrong, result.stuck) == (0, 0, 0), result.examples
    assert bool(result.dead_letters) == storm.leaves_dead_letters
    assert not any(rig.backlog())


@pytest.mark.parametrize("storm", STORMS, ids=lambda storm: storm.name)
def test_storm(rig: Rig, storm: Storm) -> None:
    """Lost 0, wrong 0."""
    check(rig, storm, storm.times_in_short)


@pytest.mark.parametrize(
    "storm",
    [storm for storm in (*STORMS_OF_FAILOVERS, *STORMS_BEHIND_SENTINELS) if storm.times_in_short],
    ids=lambda storm: storm.name,
)
def test_storm_of_failovers(rig: Rig, storm: Storm) -> None:
    """Lost 0, wrong 0: nothing was answered, or taken, that the new primary has not."""
    try:
        check(rig, storm, storm.times_in_short)
    except HostsUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_storm_on_another_pool(rig: Rig, pool: str) -> None:
    """The transport and the strategy are the same in every pool."""
    rig.options = ("--pool", pool)
    check(rig, Storm("kill -9", alone(kill_a_worker), 2, 2), 2)


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_broker_that_crashes_under_another_pool(rig: Rig, pool: str) -> None:
    """Its event loop, or the lack of one, starts anew with each connection."""
    rig.options = ("--pool", pool)
    check(rig, Storm("broker crashed", alone(crash_the_broker), 3, 3), 3)


@pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])
def test_a_stop_while_the_broker_is_away(rig: Rig, pool: str) -> None:
    """The worker stops by itself, and what it held is settled by the next."""
    rig.options = ("--pool", pool)
    worker = rig.start_worker()
    worker.wait_for_log('"batch settled", "batch": 20')
    rig.broker.stop(immediate=True)
    worker.wait_for_log("broker is away")
    rig.broker.start()
    assert worker.stop() == 0
    assert "Traceback" not in worker.log.read_text()
    check(rig, Storm("the next one", alone(lambda _: None), 1, 1), 1)


@pytest.mark.rabbitmq
@pytest.mark.parametrize("unloaded_rig", ["RabbitMQ"], indirect=True)
@pytest.mark.parametrize("storm", STORMS_ON_RABBITMQ, ids=lambda storm: storm.name)
def test_storm_on_rabbitmq(rig: Rig, storm: Storm) -> None:
    """Lost 0, wrong 0."""
    check(rig, storm, storm.times_in_short)


@pytest.mark.rabbitmq
@pytest.mark.parametrize("unloaded_rig", ["three nodes of RabbitMQ"], indirect=True)
@pytest.mark.parametrize(
    "storm",
    [storm for storm in STORMS_ON_A_CLUSTER if storm.times_in_short],
    ids=lambda storm: storm.name,
)
def test_storm_on_a_cluster(rig: Rig, storm: Storm) -> None:
    """Lost 0, wrong 0."""
    check(rig, storm, storm.times_in_short)


def test_a_killed_pool_process(rig: Rig) -> None:
    """What a child of prefork had in its slot is tried again in another."""
    rig.options = ("--pool", "prefork")

    def kill_a_child(rig: Rig) -> None:
        children = psutil.Process(rig.workers[0].process.pid).children()
        if children:  # else Celery is about to start others
            CHANCE.choice(children).kill()

    check(rig, Storm("kill -9 of a child", alone(kill_a_child), 5, 5), 5)
    assert rig.workers[0].stop() == 0
