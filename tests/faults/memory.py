"""How much memory a worker takes, whatever waits for it: `uv run python -m tests.faults.memory`.

Prints for each backlog what a worker takes when it has nothing to do, and how much
more at its most: with a database that works, and with one that does not answer.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import psutil

from settle_client.names import QUEUE
from tests.faults.backlogs import Backlog, item, odd, one, ordinary, times
from tests.faults.rig import Rig, durable_servers, rig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.service import Worker

PUSHED_AT_ONCE_BYTES = 2**20
STALLED_SECONDS = 5.0
#: What a worker may take more than when it is idle.
BOUND_MEBIBYTES = 150


class Measured(NamedTuple):
    """What was seen, in mebibytes of resident memory."""

    idle: float
    most: float

    @property
    def growth(self) -> float:
        """Return how much more than when idle was taken."""
        return self.most - self.idle


def push(rig: Rig, items: Iterator[bytes]) -> None:
    """Put items into the queue, the first to be fetched first."""
    together: list[bytes] = []
    size = 0
    for each in items:
        together.append(each)
        size += len(each)
        if size > PUSHED_AT_ONCE_BYTES:
            rig.service.redis.lpush(QUEUE, *together)
            together, size = [], 0
    if together:
        rig.service.redis.lpush(QUEUE, *together)


def taken_by(worker: Worker) -> float:
    """Return what a worker takes, in mebibytes."""
    return float(psutil.Process(worker.process.pid).memory_info().rss / 2**20)


def measure(rig: Rig, backlog: Backlog, *, stalled: bool) -> Measured:
    """Let a worker go through a backlog, or hold what it can while its database stalls."""
    rig.service.load(*(f"ev_{number}" for number in range(1_000)))
    worker = rig.start_worker(SETTLE_DEAD_LETTER_MAX_SHARE="1")
    # The first batches bring in what is needed for every other, and small messages are expected.
    push(rig, times(300, lambda: item(one())))
    rig.service.wait_until_empty()
    idle = most = taken_by(worker)
    process = psutil.Process(worker.process.pid)
    with rig.frozen_database() if stalled else nullcontext():
        # It finds all of it at once.
        process.suspend()
        push(rig, backlog.items())
        process.resume()
        deadline = time.monotonic() + STALLED_SECONDS
        while time.monotonic() < deadline if stalled else any(rig.backlog()):
            most = max(most, taken_by(worker))
            time.sleep(0.02)
    assert worker.process.poll() is None
    return Measured(idle, most)


@click.command()
@click.option("--messages", default=1_000_000, show_default=True, help="Of one update each.")
@click.option("--bulk", default=2_000, show_default=True, help="Messages of 1,000 updates.")
@click.option("--odd", "odd_ones", default=100, show_default=True, help="Of what is odd.")
def main(messages: int, bulk: int, odd_ones: int) -> None:
    """Measure and print."""
    click.echo("| backlog | idle | database works | database does not answer |\n|---|--:|--:|--:|")
    for backlog in (*ordinary(messages, bulk), *odd(odd_ones)):
        seen = []
        for stalled in (False, True):
            with (
                tempfile.TemporaryDirectory() as folder,
                durable_servers() as servers,
                rig(servers, Path(folder)) as at,
            ):
                seen.append(measure(at, backlog, stalled=stalled))
        growths = " | ".join(f"+{each.growth:.0f}" for each in seen)
        click.echo(f"| {backlog.in_words} | {seen[0].idle:.0f} | {growths} |")


if __name__ == "__main__":
    main()
