"""What is broken, and how: each storm strikes a rig a number of times."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import psycopg

from settle_client.names import QUEUE
from tests.faults import amqp_items
from tests.faults.fuzzing import fuzzed
from tests.faults.network import Link
from tests.faults.rig import END_SESSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.faults.hostile import Case
    from tests.faults.rig import Rig

    Strike = Callable[[Rig], None]

CHANCE = random.Random(11)
LOCK_SECONDS = 3.0


def nothing(_: Rig) -> None:
    """Strike at nothing: two workers and their races are enough."""
    time.sleep(1)


def kill_a_worker(rig: Rig) -> None:
    """Kill a worker with SIGKILL and start another."""
    rig.replace(CHANCE.choice(rig.workers))


def restart_postgres(rig: Rig, *, immediate: bool) -> None:
    """Stop PostgreSQL, in order or as in a crash, and start it again."""
    rig.postgres.stop(immediate=immediate)
    time.sleep(0.3)
    rig.postgres.start()


def crash_the_broker(rig: Rig) -> None:
    """Kill the broker and start it again from its log."""
    rig.broker.stop(immediate=True)
    time.sleep(0.3)
    rig.broker.start()


def crash_the_outcome_redis(rig: Rig) -> None:
    """Kill the result channel's Redis and start it again from its log."""
    rig.outcomes.stop(immediate=True)
    time.sleep(0.3)
    rig.outcomes.start()


def kill_connections(rig: Rig) -> None:
    """Let one of the servers end every connection that it has."""
    match CHANCE.randrange(3):
        case 0:
            with psycopg.connect(rig.service.database_url, autocommit=True) as operator:
                operator.execute(END_SESSIONS)
        case 1:
            rig.service.redis.client_kill_filter(_type="normal", skipme=True)
        case 2:
            rig.service.channel.client_kill_filter(_type="normal", skipme=True)


def cut_the_network(rig: Rig) -> None:
    """Break every connection to one of the servers, half of the times after a silence."""
    link = CHANCE.choice(rig.links)
    link.silent = CHANCE.random() < 0.5
    time.sleep(CHANCE.uniform(0.1, 0.8))
    link.cut()
    link.silent = False


def delay_the_network(rig: Rig) -> None:
    """Add a tenth of a second each way, to every server, for a while."""
    for link in rig.links:
        link.delay_seconds = 0.1
    time.sleep(CHANCE.uniform(0.5, 1.5))
    for link in rig.links:
        link.delay_seconds = 0.0


def lock_rows(rig: Rig) -> None:
    """Lock the rows that come next in another session, for longer than a statement may take."""
    with psycopg.connect(rig.service.database_url) as other:
        next_ones = rig.load.unsent[-5:]
        other.execute("SELECT FROM events WHERE id = ANY(%s) FOR UPDATE", [next_ones])
        time.sleep(LOCK_SECONDS)


def crash_rabbitmq(rig: Rig) -> None:
    """Kill RabbitMQ and start it again."""
    assert rig.service.rabbitmq is not None
    rig.service.rabbitmq.stop(immediate=True)
    rig.service.rabbitmq.start()


def close_connections(rig: Rig) -> None:
    """Let RabbitMQ end every connection that it has."""
    assert rig.service.rabbitmq is not None
    rig.service.rabbitmq.control("close_all_connections", "an operator wants it")


def send_odd_messages(rig: Rig) -> None:
    """Lay a hundred items into the queue any part of which may be anything."""
    odd = list(islice(_odd_messages, 100))
    rig.load.of_others |= {case.message_id for case in odd if case.message_id is not None}
    put(rig, odd)


def put(rig: Rig, cases: Sequence[Case]) -> None:
    """Lay items into the queue."""
    if rig.service.rabbitmq is None:
        rig.service.redis.lpush(QUEUE, *(case.item for case in cases))
    else:
        amqp_items.publish(rig.service.rabbitmq.url, cases)


def _ever_more_odd_messages() -> Iterator[Case]:
    while True:
        yield from fuzzed(1_000)


_odd_messages = _ever_more_odd_messages()


@contextmanager
def behind_links(rig: Rig) -> Iterator[None]:
    """Put a link before each server."""
    with ExitStack() as stack:
        servers = (rig.postgres, rig.broker, rig.outcomes)
        rig.links = [stack.enter_context(Link(server.port)) for server in servers]
        yield
        for worker in rig.workers:
            worker.kill()


@dataclass(frozen=True)
class Storm:
    """Something that goes wrong, again and again.

    Attributes:
        name: For the table.
        strike: Breaks something, and mends it.
        times: How often, in the long form.
        times_in_short: How often, where many other things are tested too.
        workers: How many there are.
        linked: Whether the workers reach their servers through links.
        settings: Of the workers.
        on_rabbitmq: Whether the broker is RabbitMQ rather than a Redis.
        leaves_dead_letters: Whether some of what is sent cannot be applied.
    """

    name: str
    strike: Strike
    times: int
    times_in_short: int
    workers: int = 1
    linked: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    on_rabbitmq: bool = False
    leaves_dead_letters: bool = False


# Some of the odd messages take their time, and a lease must last for it.
FOR_ODD_MESSAGES = (("SETTLE_DEAD_LETTER_MAX_SHARE", "1"), ("SETTLE_LEASE_SECONDS", "20"))

STORMS = (
    Storm("no failure, two workers on the same events", nothing, 20, 3, workers=2),
    Storm("kill -9 of the only worker", kill_a_worker, 50, 3),
    Storm("kill -9 of one of two workers", kill_a_worker, 50, 3, workers=2),
    Storm("PostgreSQL restarted", partial(restart_postgres, immediate=False), 10, 3),
    Storm("PostgreSQL crashed", partial(restart_postgres, immediate=True), 10, 3),
    Storm("broker crashed", crash_the_broker, 10, 3),
    Storm("outcome Redis crashed", crash_the_outcome_redis, 10, 3),
    Storm("connections killed", kill_connections, 60, 9),
    Storm("network cut", cut_the_network, 25, 6, linked=True),
    Storm("network delayed", delay_the_network, 25, 2, linked=True),
    Storm(
        "a hundred odd messages",
        *(send_odd_messages, 200, 3),
        settings=FOR_ODD_MESSAGES,
        leaves_dead_letters=True,
    ),
    Storm(
        "rows locked for longer than the statement timeout",
        lock_rows,
        5,
        1,
        settings=(
            ("SETTLE_STATEMENT_TIMEOUT_SECONDS", "1"),
            ("SETTLE_LOCK_TIMEOUT_SECONDS", "2"),
            ("PGOPTIONS", "-c statement_timeout=1000"),
        ),
    ),
)
STORMS_ON_RABBITMQ = (
    Storm("RabbitMQ: kill -9 of the only worker", kill_a_worker, 20, 3, on_rabbitmq=True),
    Storm("RabbitMQ: kill -9 of one of two", kill_a_worker, 20, 3, workers=2, on_rabbitmq=True),
    Storm("RabbitMQ crashed", crash_rabbitmq, 10, 2, on_rabbitmq=True),
    Storm("RabbitMQ: connections closed", close_connections, 20, 3, on_rabbitmq=True),
    Storm(
        "RabbitMQ: a hundred odd messages",
        *(send_odd_messages, 200, 3),
        settings=FOR_ODD_MESSAGES,
        leaves_dead_letters=True,
        on_rabbitmq=True,
    ),
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
    with behind_links(rig) if storm.linked else ExitStack():
        for _ in range(storm.workers):
            rig.start_worker()
        rig.recover(time.time())
        for _ in range(times):
            time.sleep(CHANCE.uniform(0.05, 0.6))
            storm.strike(rig)
            recovery.append(rig.recover(time.time()))
            on_strike()
        rig.load.stop()
        rig.drain()
        account = rig.load.account()
    return Weathered(
        storm,
        rig.contender.name,
        times,
        account.messages,
        account.lost,
        account.wrong,
        rig.stuck,
        recovery,
        account.examples,
        rig.service.channel.xlen("event-status-updates.dead"),
    )
