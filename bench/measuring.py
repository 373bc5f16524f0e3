"""What is measured, one run at a time; repeating and comparing is `bench.command`'s."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from celery import Celery

from bench.accounting import Accounting
from bench.contenders import SETTLE
from bench.counting import count_deliveries
from bench.errors import BenchError
from bench.event_ids import event_id
from bench.filling import fill, sending
from bench.listener import Listener
from db import Database, Settlement
from settle_client.names import QUEUE, TASK

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.contenders import Contender
    from bench.rig import Rig

BATCH = 1_000
# The first part of a run is the start of the worker.
LEFT_OUT = 0.1
# For no shorter does the load generator sleep.
STEP_SECONDS = 0.001
# Parts of what is used while latencies are measured.
SENDING, LISTENING = "sending", "listening"


class Run(NamedTuple):
    """What one run of a contender was like.

    Attributes:
        rate: Updates a second.
        microseconds: Of processors that an update took, in each part.
    """

    rate: float
    microseconds: dict[str, float]


class Latencies(NamedTuple):
    """How long updates took, from when they were due to when their outcomes were received.

    Attributes:
        seconds: For each.
        microseconds: As of a `Run`; who sends and who listens are a part too.
    """

    seconds: list[float]
    microseconds: dict[str, float]


def run(rig: Rig, contender: Contender) -> Run:
    """Let a contender settle its work, and measure from a tenth of the outcomes on.

    Raises:
        BenchError: It does not settle everything.
    """
    updates = contender.messages * contender.updates_each
    rig.reset(updates, rows=contender.rows)
    fill(rig, contender)
    with rig.workers(contender) as running:
        accounting = Accounting(updates, rig.parts(contender, running))
        rig.wait(updates, running, accounting.note)
    if rig.published() != updates or rig.settled() != updates:
        raise BenchError(f"{contender.name}: {rig.published():,} outcomes for {updates:,} updates")
    skipped = int(updates * LEFT_OUT)
    rate = (updates - skipped) / (rig.moment(updates) - rig.moment(skipped))
    return Run(rate, accounting.microseconds)


def throughput(rig: Rig, contender: Contender) -> float:
    """Return updates a second, from a tenth of the outcomes to the last."""
    return run(rig, contender).rate


def drain(rig: Rig, messages: int, windows: dict[int, tuple[int, int]]) -> dict[int, float]:
    """Return updates a second while so many messages are queued, in one run of one worker.

    Args:
        rig: Where.
        messages: How many are queued when the worker starts.
        windows: Between which two outcomes to measure, for each number that is queued then.
    """
    rig.reset(messages)
    fill(rig, replace(SETTLE, messages=messages))
    with rig.workers(SETTLE) as running:
        rig.wait(messages, running)
    return {
        queued: (last - first) / (rig.moment(last) - rig.moment(first))
        for queued, (first, last) in windows.items()
    }


def postgres_alone(rig: Rig, updates: int = 100_000) -> float:
    """Return rows a second of the same transaction, on one connection, and nothing else."""
    rig.reset(updates)
    database = Database(rig.database_url)
    started = time.perf_counter()
    for first in range(0, updates, BATCH):
        database.settle_pending_events(
            [Settlement(event_id(n), "completed", None, "m") for n in range(first, first + BATCH)]
        )
    seconds = time.perf_counter() - started
    database.close()
    return updates / seconds


def rabbitmq_alone(rig: Rig, messages: int = 100_000) -> Run:
    """Measure a consumer of a full queue in RabbitMQ that only counts."""
    fill(rig, replace(SETTLE, messages=messages, on_rabbitmq=True))
    rate, used = count_deliveries(rig.rabbitmq_url, messages)
    return Run(rate, {} if used is None else {"RabbitMQ": used})


def producing(rig: Rig, messages: int = 50_000) -> float:
    """Return single updates a second that the producer client sends and has confirmed."""
    rig.reset(0)
    started = time.perf_counter()
    fill(rig, replace(SETTLE, messages=messages))
    return messages / (time.perf_counter() - started)


def send_task(rig: Rig, messages: int = 3_000) -> float:
    """Return the same for Celery's own way, on one connection."""
    rig.reset(0)
    app = Celery(broker=rig.broker_url, set_as_current=False)
    started = time.perf_counter()
    with app.producer_or_acquire() as producer:
        for number in range(messages):
            send_one(app, producer, number)
    return messages / (time.perf_counter() - started)


def send_one(app: Celery, producer: object, number: int) -> str:
    """Send one update with Celery, and return its event's id."""
    id_ = event_id(number)
    app.send_task(
        TASK,
        kwargs={"id": id_, "status": "completed"},
        queue=QUEUE,
        producer=producer,
        ignore_result=True,
    )
    return id_


def lonely_latencies(
    rig: Rig, contender: Contender = SETTLE, *, seconds: float = 20, per_second: float = 50
) -> Latencies:
    """Return how long single updates take that come one by one, by `send_task`."""
    app = Celery(broker=rig.queue_url(contender), set_as_current=False)
    # On RabbitMQ, as docs/messages.md has it.
    app.conf.task_create_missing_queue_type = "quorum"
    with app.producer_or_acquire() as producer:

        def send(number: int) -> None:
            send_one(app, producer, number)

        return _latencies(rig, seconds, per_second, send, contender)


def latencies_under_load(
    rig: Rig, per_second: float, contender: Contender = SETTLE, *, seconds: float = 10
) -> Latencies:
    """Return the same at some rate, sent as the queue is filled."""
    with sending(rig.queue_url(contender)) as send_updates:

        def send(number: int) -> None:
            send_updates([{"id": event_id(number), "status": "completed"}])

        return _latencies(rig, seconds, per_second, send, contender)


def _latencies(
    rig: Rig,
    seconds: float,
    per_second: float,
    send: Callable[[int], None],
    contender: Contender,
) -> Latencies:
    """Measure from when an update is due: a generator that is late must not make them fewer."""
    updates = int(seconds * per_second)
    warm_up = max(updates // 10, 50)
    total = updates + warm_up
    rig.reset(total)
    fill(rig, replace(contender, messages=0))
    listener = Listener(rig.broker_url)
    dues: list[float] = []
    with rig.workers(contender) as running:
        for number in range(warm_up):
            send(number)
        rig.wait(warm_up, running)
        parts = rig.parts(contender, running) | {LISTENING: [listener.pid]}
        accounting = Accounting(total, parts, since=warm_up)
        accounting.note(warm_up)
        sending_seconds = time.process_time()
        jitter = random.Random(1)
        due = time.perf_counter()
        for number in range(warm_up, total):
            # At random moments, not in step with anything.
            due += jitter.expovariate(per_second)
            while (early := due - time.perf_counter()) > 0:
                time.sleep(max(early, STEP_SECONDS))
            dues.append(due)
            send(number)
        sending_seconds = time.process_time() - sending_seconds
        rig.wait(total, running)
        accounting.note(total)
        time.sleep(0.5)
    received = listener.close()
    used = {**accounting.microseconds, SENDING: sending_seconds / updates * 1e6}
    return Latencies([received[event_id(n)] - due for n, due in enumerate(dues, warm_up)], used)
