"""How much memory a worker takes, whatever waits for it: `uv run python -m tests.faults.memory`.

Prints, for a backlog of single updates and one of messages as large as they may
be, each with a database that works and one that does not answer, what a worker
takes when it has nothing to do and at its most.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import psutil

from settle_client.names import QUEUE, TASK
from tests.faults.rig import Rig, durable_servers, rig

if TYPE_CHECKING:
    from tests.service import Worker

PUSHED_AT_ONCE = 1_000
STALLED_SECONDS = 5.0
#: What a worker may take more than when it is idle.
BOUND_MEBIBYTES = 150


class Measured(NamedTuple):
    """What was seen, in mebibytes of resident memory."""

    idle: float
    most: float
    messages: int

    @property
    def growth(self) -> float:
        """Return how much more than when idle was taken."""
        return self.most - self.idle


def fill(rig: Rig, messages: int, updates_each: int) -> None:
    """Put messages into the queue, made from one that a Celery client sent."""
    redis = rig.service.redis
    update = {"id": "ev_0", "status": "completed"}
    updates = [{**update, "id": f"ev_{number}"} for number in range(updates_each)]
    form = {"kwargs": update} if updates_each == 1 else {"args": [updates]}
    rig.service.producer.send_task(TASK, **form, queue="elsewhere", ignore_result=True)
    message = redis.rpop("elsewhere").replace("elsewhere", QUEUE)
    tag = json.loads(message)["headers"]["id"]
    for start in range(0, messages, PUSHED_AT_ONCE):
        count = min(PUSHED_AT_ONCE, messages - start)
        redis.lpush(QUEUE, *(message.replace(tag, str(uuid.uuid4())) for _ in range(count)))


def taken_by(worker: Worker) -> float:
    """Return what a worker takes, in mebibytes."""
    return float(psutil.Process(worker.process.pid).memory_info().rss / 2**20)


def measure(rig: Rig, messages: int, updates_each: int, *, stalled: bool) -> Measured:
    """Let a worker go through a backlog, or hold what it can while its database stalls."""
    rig.service.load(*(f"ev_{number}" for number in range(1_000)))
    worker = rig.start_worker()
    # The first batch brings in what is needed for every other.
    fill(rig, 100, 1)
    rig.service.wait_until_empty()
    idle = most = taken_by(worker)
    with rig.frozen_database() if stalled else nullcontext():
        fill(rig, messages, updates_each)
        deadline = time.monotonic() + STALLED_SECONDS
        while time.monotonic() < deadline if stalled else rig.service.redis.llen(QUEUE):
            most = max(most, taken_by(worker))
            time.sleep(0.02)
    return Measured(idle, most, messages)


@click.command()
@click.option("--messages", default=1_000_000, show_default=True, help="Of one update each.")
@click.option("--bulk", default=2_000, show_default=True, help="Messages of 1,000 updates.")
def main(messages: int, bulk: int) -> None:
    """Measure and print."""
    click.echo("| backlog | database | idle | at most | more |\n|---|---|--:|--:|--:|")
    for count, each in ((messages, 1), (bulk, 1_000)):
        for stalled in (False, True):
            with (
                tempfile.TemporaryDirectory() as folder,
                durable_servers() as servers,
                rig(servers, Path(folder)) as at,
            ):
                seen = measure(at, count, each, stalled=stalled)
            state = "does not answer" if stalled else "works"
            click.echo(
                f"| {count:,} messages of {each:,} | {state} "
                f"| {seen.idle:.0f} MiB | {seen.most:.0f} MiB | {seen.growth:.0f} MiB |"
            )


if __name__ == "__main__":
    main()
