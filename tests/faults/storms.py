"""The storms: what breaks, how often, and beside what; and what is accounted for afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from tests import rabbitmq_cluster
from tests.faults import failovers, nodes, redis_failovers, stages, strikes
from tests.faults.failovers import failing_over
from tests.faults.redis_failovers import behind_sentinels
from tests.faults.stages import alone
from tests.faults.strikes import CHANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.rig import Rig
    from tests.faults.stages import Stage


@dataclass(frozen=True)
class Storm:
    """Something that goes wrong, again and again.

    Attributes:
        name: For the table.
        stage: What stands beside the workers and their servers, and what breaks.
        times: How often, in the long form.
        times_in_short: How often, where many other things are tested too; 0 leaves it out there.
        workers: How many there are.
        settings: Of the workers.
        nodes: Of RabbitMQ, where that is the broker rather than a Redis.
        leaves_dead_letters: Whether some of what is sent cannot be applied.
        events: How many there are, in the long form; whoever copies the database copies them.
    """

    name: str
    stage: Stage
    times: int
    times_in_short: int
    workers: int = 1
    settings: tuple[tuple[str, str], ...] = ()
    nodes: int = 0
    leaves_dead_letters: bool = False
    events: int = 400_000


# Some of the odd messages take their time, and a lease must last for it.
FOR_ODD_MESSAGES = (("SETTLE_DEAD_LETTER_MAX_SHARE", "1"), ("SETTLE_LEASE_SECONDS", "20"))
# What a stalled reader of a short stream is waited for.
FOR_A_SLOW_CONSUMER = (
    ("SETTLE_OUTCOME_STREAM_MAX_LENGTH", "200"),
    ("SETTLE_OUTCOME_KEEP_FOR_GROUPS", stages.GROUP),
    ("SETTLE_BATCH_MAX_UPDATES", "50"),
)
FOR_LOCKED_ROWS = (
    ("SETTLE_STATEMENT_TIMEOUT_SECONDS", "1"),
    ("SETTLE_LOCK_TIMEOUT_SECONDS", "2"),
    ("PGOPTIONS", "-c statement_timeout=1000"),
)
restart_postgres = alone(partial(strikes.restart_postgres, immediate=False))
crash_postgres = alone(partial(strikes.restart_postgres, immediate=True))

STORMS = (
    Storm("no failure, two workers on the same events", alone(strikes.nothing), 20, 3, workers=2),
    Storm("kill -9 of the only worker", alone(strikes.kill_a_worker), 50, 3),
    Storm("kill -9 of one of two workers", alone(strikes.kill_a_worker), 50, 3, workers=2),
    Storm("PostgreSQL restarted", restart_postgres, 10, 3),
    Storm("PostgreSQL crashed", crash_postgres, 10, 3),
    Storm("broker crashed", alone(strikes.crash_the_broker), 10, 3),
    Storm("broker out of memory", stages.short_of_memory, 20, 2),
    Storm("outcome Redis crashed", alone(strikes.crash_the_outcome_redis), 10, 3),
    Storm("result backend away, and back", stages.with_results, 20, 2),
    Storm("connections killed", alone(strikes.kill_connections), 60, 9),
    Storm("network cut", stages.behind_links(strikes.cut_the_network), 25, 6),
    Storm("network delayed", stages.behind_links(strikes.delay_the_network), 25, 2),
    Storm(
        "a slow consumer that is waited for",
        *(stages.read_by_a_group, 20, 2),
        settings=FOR_A_SLOW_CONSUMER,
    ),
    Storm("kill -9 beside a stock Celery application", stages.beside_a_shop, 20, 2),
    Storm("delayed messages, and kill -9", alone(strikes.send_delayed_messages), 50, 2),
    Storm(
        "rows that the database refuses to change",
        *(stages.with_a_guard, 200, 5),
        leaves_dead_letters=True,
    ),
    Storm(
        "a hundred odd messages",
        *(alone(strikes.send_odd_messages), 200, 3),
        settings=FOR_ODD_MESSAGES,
        leaves_dead_letters=True,
    ),
    Storm(
        "rows locked for longer than the statement timeout",
        *(alone(strikes.lock_rows), 5, 1),
        settings=FOR_LOCKED_ROWS,
    ),
)
STORMS_OF_FAILOVERS = tuple(
    Storm(f"PostgreSQL fails over: {name}", stage, 20, times_in_short, events=60_000)
    for name, stage, times_in_short in (
        ("kill -9 of the primary, one address", failing_over(failovers.kill_the_primary), 1),
        (
            "kill -9 of the primary, several hosts",
            *(failing_over(failovers.kill_the_primary, several_hosts=True), 1),
        ),
        ("a switchover, one address", failing_over(failovers.switch_over), 1),
        (
            "a switchover, several hosts",
            *(failing_over(failovers.switch_over, several_hosts=True), 0),
        ),
        (
            "a primary that goes on answering, one address",
            *(failing_over(failovers.retire_the_primary), 0),
        ),
        (
            "a primary that goes on answering, several hosts",
            *(failing_over(failovers.retire_the_primary, several_hosts=True), 1),
        ),
        (
            "a primary that is cut off, one address",
            *(failing_over(failovers.cut_the_primary_off, namespaces=True), 1),
        ),
        (
            "a primary that is cut off, several hosts",
            failing_over(failovers.cut_the_primary_off, several_hosts=True, namespaces=True),
            0,
        ),
        ("a primary that is cut off with a worker", failing_over(failovers.divide), 1),
        ("a standby that lags", failing_over(failovers.kill_the_primary_of_a_laggard), 0),
        ("no standby to wait for", failing_over(failovers.kill_the_standby), 1),
        ("waits that are cancelled", failing_over(failovers.cancel_what_waits), 2),
    )
)
STORMS_BEHIND_SENTINELS = tuple(
    Storm(f"Redis fails over: {name}", stage, 20, times_in_short)
    for name, stage, times_in_short in (
        (
            "kill -9 of the primary",
            *(behind_sentinels(redis_failovers.kill_the_primary), 0),
        ),
        (
            "kill -9 of the primary, a replica waited for",
            *(behind_sentinels(redis_failovers.kill_the_primary, min_replicas=1), 1),
        ),
        (
            "the primary parted from the others",
            *(behind_sentinels(redis_failovers.part_the_primary, namespaces=True), 0),
        ),
        (
            "the primary parted from the others, a replica waited for",
            behind_sentinels(redis_failovers.part_the_primary, min_replicas=1, namespaces=True),
            1,
        ),
    )
)
STORMS_ON_RABBITMQ = tuple(
    replace(storm, name=f"RabbitMQ: {storm.name}", nodes=1)
    for storm in (
        Storm("kill -9 of the only worker", alone(strikes.kill_a_worker), 20, 3),
        Storm("kill -9 of one of two", alone(strikes.kill_a_worker), 20, 3, workers=2),
        Storm("crashed", alone(strikes.crash_rabbitmq), 10, 2),
        Storm("connections closed", alone(strikes.close_connections), 20, 3),
        Storm("an alarm, until the queue is empty", alone(strikes.raise_an_alarm), 10, 1),
        Storm("delayed messages, and kill -9", alone(strikes.send_delayed_messages), 20, 2),
        Storm(
            "a hundred odd messages",
            *(alone(strikes.send_odd_messages), 200, 3),
            settings=FOR_ODD_MESSAGES,
            leaves_dead_letters=True,
        ),
    )
)
STORMS_ON_A_CLUSTER = tuple(
    Storm(f"three nodes of RabbitMQ: {name}", alone(strike), *times, nodes=rabbitmq_cluster.NODES)
    for name, strike, times in (
        ("kill -9 of the leader's", nodes.kill_the_leader, (20, 1)),
        ("kill -9 of a follower's", nodes.kill_a_follower, (20, 0)),
        ("kill -9 of two", nodes.kill_two, (20, 1)),
        ("kill -9 of the worker's", nodes.kill_the_workers_node, (20, 0)),
        ("one frozen for longer than its net tick", nodes.freeze_a_node, (20, 0)),
        ("restarted one by one", nodes.restart_one_by_one, (5, 0)),
    )
)


@dataclass(frozen=True)
class Weathered:
    """What a storm left."""

    storm: Storm
    contender: str
    times: int
    messages: int
    lost: int
    wrong: int
    stuck: int
    recovery_seconds: list[float]
    examples: list[str]
    dead_letters: int


def weather(
    rig: Rig, storm: Storm, times: int, on_strike: Callable[[], None] = lambda: None
) -> Weathered:
    """Let a storm strike under load and account for everything afterwards."""
    rig.settings = dict(storm.settings)
    recovery = []
    with storm.stage(rig) as strike:
        for _ in range(storm.workers):
            rig.start_worker()
        rig.recover(time.time())
        for _ in range(times):
            time.sleep(CHANCE.uniform(0.05, 0.6))
            seconds = strike(rig)
            recovery.append(rig.recover(time.time()) if seconds is None else seconds)
            on_strike()
        rig.load.stop()
        rig.drain()
        account = rig.load.account()
        claimed = [what for claim in rig.claims for what in claim()]
    return Weathered(
        storm,
        rig.contender.name,
        times,
        account.messages,
        account.lost + len(claimed),
        account.wrong,
        rig.stuck,
        recovery,
        account.examples + claimed[:3],
        rig.service.channel.xlen("event-status-updates.dead"),
    )
