"""What it costs to wait for replicas: `uv run python -m tests.faults.waiting`.

Prints how many milliseconds a batch takes, published to Redis or settled in PostgreSQL, with
and without a replica that is waited for; all servers are on this machine. Of many times the
fastest tenth: whatever else the machine has to do is not meant.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import click

from cli.embedded import Postgres, temporary_folder
from db import Database, Settlement
from db.loading import NewEvent, load_events
from db.migrate import migrate
from tasks.publishing import OutcomePublisher
from tasks.settle import invalid
from tests.redis_group import RedisGroup
from tests.standby import Standby, follow_synchronously

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = 200
SIZES = (1, 1_000)
HEAD = """\
| batch | updates | no replica | one |
|---|--:|--:|--:|
"""


def milliseconds(work: Callable[[], object]) -> float:
    """Return what something takes at most, the tenth of the times that it is fastest."""
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.quantiles(taken, n=10)[0] * 1_000


def publishing() -> dict[int, list[float]]:
    """Return how long outcomes take to be published, by how many they are."""
    answer = invalid("m", None, None, "why")
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    with (
        temporary_folder() as folder,
        RedisGroup(folder) as group,
        group.primary.client() as client,
    ):
        for replicas in (0, 1):
            publisher = OutcomePublisher(client, stream_max_length=1_000, min_replicas=replicas)
            for size in SIZES:
                outcomes = [answer] * size
                taken[size].append(milliseconds(lambda: publisher.publish(outcomes)))  # noqa: B023
    return taken


def settling_again() -> dict[int, list[float]]:
    """Return how long updates take that come again, by how many they are."""
    ids = [f"ev_{number}" for number in range(max(SIZES))]
    updates = [Settlement(id_, "completed", None, "m") for id_ in ids]
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        primary = stack.enter_context(Postgres(folder / "primary", durable=True))
        migrate(primary.url)
        load_events(primary.url, [NewEvent(id_, "a") for id_ in ids])
        stack.enter_context(Standby(folder / "standby", primary))
        database = stack.enter_context(closing(Database(primary.url)))
        database.settle_pending_events(updates)
        for is_waited_for in (False, True):
            if is_waited_for:
                follow_synchronously(primary)
            for size in SIZES:
                some = updates[:size]
                taken[size].append(milliseconds(lambda: database.settle_pending_events(some)))  # noqa: B023
    return taken


@click.command()
def main() -> None:
    """Measure, and print a table."""
    click.echo(HEAD, nl=False)
    for batch, measure in (
        ("outcomes published to Redis", publishing),
        ("updates that come again, in PostgreSQL", settling_again),
    ):
        for size, (without, with_one) in measure().items():
            click.echo(f"| {batch} | {size:,} | {without:.1f} ms | {with_one:.1f} ms |")


if __name__ == "__main__":
    main()
