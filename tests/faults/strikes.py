"""What breaks: each strike breaks something of a rig, and mends it or leaves it so."""

from __future__ import annotations

import random
import time
from itertools import islice
from typing import TYPE_CHECKING

import psycopg

from settle_client.names import QUEUE
from tests.faults import amqp_items
from tests.faults.fuzzing import fuzzed
from tests.faults.rig import END_SESSIONS
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.faults.hostile import Case
    from tests.faults.rig import Rig

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
    odd = put(rig, list(islice(_odd_messages, 100)))
    rig.load.of_others |= {case.message_id for case in odd if case.message_id is not None}


def put(rig: Rig, cases: Sequence[Case]) -> list[Case]:
    """Lay items into the queue, and return those that the broker has taken."""
    if rig.service.rabbitmq is not None:
        return amqp_items.publish(rig.service.rabbitmq.url, cases)
    if cases:
        rig.service.redis.lpush(QUEUE, *(case.item for case in cases))
    return list(cases)


def _ever_more_odd_messages() -> Iterator[Case]:
    while True:
        yield from fuzzed(1_000)


_odd_messages = _ever_more_odd_messages()


def send_delayed_messages(rig: Rig) -> None:
    """Send what is due within seconds, and kill a worker meanwhile."""
    for _ in range(20):
        update = {"id": "ev_unknown", "status": "completed"}
        delay = CHANCE.uniform(0.2, 3)
        sent = rig.service.send(kwargs=update, countdown=delay, ignore_result=True)
        rig.load.of_others.add(sent.id)
    kill_a_worker(rig)


def raise_an_alarm(rig: Rig) -> None:
    """Let RabbitMQ be short of memory until all that it has is settled."""
    assert rig.service.rabbitmq is not None
    rig.service.rabbitmq.control("set_vm_memory_high_watermark", "absolute", "1MB")
    eventually(lambda: not any(rig.backlog()))
    rig.service.rabbitmq.control("set_vm_memory_high_watermark", "0.4")
