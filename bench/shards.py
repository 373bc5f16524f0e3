"""What several brokers before one database cost and give.

The same updates over 1, 2 and 4 Redis brokers, each with a worker of its own, one table
and one result channel: updates a second, and processor microseconds an update of each part,
from the operating system's accounting, where one machine has all of it. What machines of
their own would do is calculated from that, and said to be. Run:
`uv run --group bench python -m bench.shards`.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

import click

from bench.accounting import Accounting, listens
from bench.contenders import SETTLE
from bench.errors import BenchError
from bench.event_ids import event_id
from bench.measuring import LEFT_OUT, Run
from bench.processes import process
from bench.rig import Rig, Running
from cli.embedded import Redis, servers, temporary_folder
from db.migrate import migrate
from settle_client import ShardedProducer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UPDATES = 100_000
COUNTS = (1, 2, 4)
PARTS = ("workers", "brokers", "result channel", "PostgreSQL")


def run(rig: Rig, brokers: Sequence[str], updates: int) -> Run:
    """Settle so many updates that wait in the brokers' queues.

    Raises:
        BenchError: Not everything is settled, or it went too fast to take account of.
    """
    rig.reset(updates)
    with ShardedProducer(brokers) as producer:
        for number in range(updates):
            producer.send({"id": event_id(number), "status": "completed"})
    (command,) = SETTLE.commands()
    with ExitStack() as stack:
        environment = {
            **os.environ,
            "SETTLE_OUTCOME_URL": rig.broker_url,
            "DATABASE_URL": rig.database_url,
            "C_FORCE_ROOT": "1",
        }
        workers = [
            stack.enter_context(process(command, {**environment, "CELERY_BROKER_URL": broker}))
            for broker in brokers
        ]
        parts = [
            [worker.pid for worker in workers],
            [pid for broker in brokers for pid in listens(broker)],
            listens(rig.broker_url),
            listens(rig.database_url),
        ]
        accounting = Accounting(updates, dict(zip(PARTS, parts, strict=True)))
        rig.wait(updates, Running(workers, []), accounting.note)
        # With few updates the last of them come between two looks.
        accounting.note(updates)
    if rig.published() != updates or rig.settled() != updates:
        raise BenchError(f"{rig.published():,} outcomes for {updates:,} updates")
    if not accounting.microseconds:
        raise BenchError(f"{updates:,} updates are over too soon to take account of: ask for more")
    skipped = int(updates * LEFT_OUT)
    rate = (updates - skipped) / (rig.moment(updates) - rig.moment(skipped))
    return Run(rate, accounting.microseconds)


def line(count: int, runs: Sequence[Run]) -> str:
    """Return a row of the table: medians, and the spread of the rate."""
    rates = [one.rate for one in runs]
    costs = [[one.microseconds[part] for one in runs] for part in PARTS]
    cells = " | ".join(f"{median(cost):.1f}" for cost in costs)
    spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
    return f"| {count} | {median(rates):,.0f} ({spread}) | {cells} |"


def calculated(runs: Sequence[Run]) -> str:
    """Say what a processor of its own would carry in each part, from one broker's figures."""
    shares = [
        f"{part} {1e6 / median([one.microseconds[part] for one in runs]):,.0f}" for part in PARTS
    ]
    return "calculated, updates a second that a processor would carry: " + ", ".join(shares)


def measure(folder: Path, rounds: int, updates: int) -> dict[int, list[Run]]:
    """Measure every number of brokers in each round."""
    runs: dict[int, list[Run]] = {count: [] for count in COUNTS}
    with ExitStack() as stack:
        running = stack.enter_context(servers())
        migrate(running.postgres.url)
        rig = Rig(running.postgres.url, running.redis.url)
        brokers = [
            stack.enter_context(Redis(folder / f"broker-{number}")).url
            for number in range(max(COUNTS))
        ]
        for number in range(1, rounds + 1):
            for count in COUNTS:
                runs[count].append(run(rig, brokers[:count], updates))
                click.echo(f"round {number}: {count} done", err=True)
    return runs


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--updates", default=UPDATES, show_default=True)
def main(rounds: int, updates: int) -> None:
    """Print a row for each number of brokers."""
    try:
        with temporary_folder() as folder:
            runs = measure(folder, rounds, updates)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{rounds} rounds of {updates:,} single updates, {os.cpu_count()} processors; updates a "
        "second (lowest to highest), and processor microseconds an update in each part, medians"
    )
    click.echo("| brokers, a worker each | updates/s | " + " | ".join(PARTS) + " |")
    click.echo("|--:|--:|" + "--:|" * len(PARTS))
    for count in COUNTS:
        click.echo(line(count, runs[count]))
    click.echo(calculated(runs[COUNTS[0]]))


if __name__ == "__main__":
    main()
