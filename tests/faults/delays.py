"""What delayed messages cost a worker: `uv run python -m tests.faults.delays`.

Prints, for a backlog of messages that are not due for an hour with a thousand due
ones behind it, how long it takes until those are answered, how many delayed ones a
second the worker gets out of their way, and how much memory it takes meanwhile.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from kombu.connection import Connection

from settle_client.names import OUTCOMES, QUEUE, TASK
from tests.faults.backlogs import item, one, times
from tests.faults.memory import push, taken_by
from tests.faults.rig import durable_servers, rig
from tests.rabbitmq import RabbitMQ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.rig import Rig

DUE = 1_000
HOUR_SECONDS = 3_600


class Measured(NamedTuple):
    """What was seen; memory in mebibytes."""

    idle: float
    most: float
    answered: int
    seconds: float


def delayed(messages: int) -> Iterator[bytes]:
    """Make items that are due in an hour."""
    eta = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    return times(messages, lambda: item(one(), eta=eta))


def send(rig: Rig, **options: Any) -> Any:
    """Send an update, as a Celery client does."""
    update = {"id": "ev_0", "status": "completed"}
    producer = rig.service.producer
    return producer.send_task(TASK, kwargs=update, queue=QUEUE, ignore_result=True, **options)


def fill_rabbitmq(rig: Rig, messages: int) -> None:
    """Put them into the queue of RabbitMQ, and what is due behind them; without confirms."""
    send(rig)
    url = rig.service.environment["CELERY_BROKER_URL"]
    with Connection(url) as connection:
        for _ in range(messages):
            send(rig, connection=connection, countdown=HOUR_SECONDS)
        for _ in range(DUE - 1):
            send(rig, connection=connection)


def measure(rig: Rig, messages: int, patience_seconds: float) -> Measured:
    """Let a worker find its way to what is due."""
    rig.service.load(*(f"ev_{number}" for number in range(DUE)))
    on_redis = rig.service.rabbitmq is None
    if on_redis:
        push(rig, delayed(messages))
    else:
        fill_rabbitmq(rig, messages)
    worker = rig.start_worker()
    idle = most = taken_by(worker)
    if on_redis:
        push(rig, times(DUE, lambda: item(one())))
    began, answered = time.monotonic(), 0
    while answered < DUE and time.monotonic() - began < patience_seconds:
        answered = rig.service.channel.xlen(OUTCOMES)
        most = max(most, taken_by(worker))
        time.sleep(0.05)
    return Measured(idle, most, answered, time.monotonic() - began)


@click.command()
@click.option("--messages", multiple=True, type=int, default=(45_000, 1_000_000))
@click.option("--rabbitmq", is_flag=True, help="In place of Redis; it has to be installed.")
@click.option("--patience", default=200.0, show_default=True, help="In seconds.")
def main(messages: tuple[int, ...], patience: float, *, rabbitmq: bool) -> None:
    """Measure and print."""
    click.echo(f"| delayed | of {DUE:,} due, answered | after | delayed ones a second | memory |")
    click.echo("|--:|--:|--:|--:|--:|")
    for count in messages:
        with (
            tempfile.TemporaryDirectory() as folder,
            durable_servers() as servers,
            RabbitMQ(Path(folder) / "rabbitmq") if rabbitmq else nullcontext() as node,
            rig(servers, Path(folder), rabbitmq=node) as at,
        ):
            seen = measure(at, count, patience)
        rate = f"{count / seen.seconds:,.0f}" if seen.answered >= DUE else "-"
        click.echo(
            f"| {count:,} | {seen.answered:,} | {seen.seconds:.1f} s | {rate} "
            f"| {seen.idle:.0f} + {seen.most - seen.idle:.0f} MiB |"
        )


if __name__ == "__main__":
    main()
