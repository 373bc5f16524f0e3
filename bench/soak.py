"""Pressure that lasts: a queue that is never empty, and a snapshot that keeps vacuum from cleaning.

One worker settles single updates as fast as it can in a table of millions of rows, while
new events are inserted before it. In the middle third a transaction with an old snapshot is
held open, so that what autovacuum finds dead stays. Prints what each third was like,
and draws all of it. Run: `uv run --group bench python -m bench.soak --minutes 30`.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click
import psycopg
import redis

from bench.contenders import SETTLE
from bench.errors import BenchError
from bench.event_ids import event_id
from bench.processes import process
from bench.rig import Rig, Running
from bench.soak_picture import draw
from bench.soak_samples import Sample, Sampler
from cli.embedded import Postgres, Redis, temporary_folder
from db.migrate import migrate
from settle_client import Producer
from settle_client.names import QUEUE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.processes import Process

# So many messages wait at least, and so many are made at once.
LEAST_QUEUED, STEP = 30_000, 50_000
SAMPLE_SECONDS = 5.0
HELD = "an old snapshot held"
THIRDS = ("before", HELD, "after")
INSERT = """
INSERT INTO events (id, account_id, event_type, payload, created_at)
SELECT id, 'acct_1', 'order.created', jsonb_build_object('text', repeat('x', 60)), now()
FROM unnest(%s::text[]) id
"""
OLD_ROWS = """
INSERT INTO events (id, account_id, event_type, payload, created_at)
SELECT 'old_' || n, 'acct_' || n %% 1000, 'order.created',
  jsonb_build_object('text', repeat('x', 60)), now() FROM generate_series(1, %s) n
"""


class Load(threading.Thread):
    """Inserts events, and sends an update for each, so that the queue is never empty."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(daemon=True)
        self._rig = rig
        self._stopping = threading.Event()
        self.made = 0

    def run(self) -> None:
        """Make more whenever less than the least waits."""
        with (
            psycopg.connect(self._rig.database_url, autocommit=True) as connection,
            Producer(self._rig.broker_url) as producer,
        ):
            while not self._stopping.is_set():
                if self._rig.redis.llen(QUEUE) < LEAST_QUEUED:
                    self._make(connection, producer)
                self._stopping.wait(0.05)

    def _make(self, connection: psycopg.Connection, producer: Producer) -> None:
        ids = [event_id(number) for number in range(self.made, self.made + STEP)]
        connection.execute(INSERT, [ids])
        for id_ in ids:
            producer.send({"id": id_, "status": "completed"})
        self.made += STEP

    def stop(self) -> None:
        """Make no more."""
        self._stopping.set()
        self.join()


def samples(rig: Rig, worker: Process, seconds: float) -> Iterator[Sample]:
    """Yield a sample every few seconds; in the middle third hold an old snapshot.

    Raises:
        BenchError: The worker has ended.
    """
    with ExitStack() as stack:
        sampler = Sampler(rig, [worker.pid])
        stack.callback(sampler.close)
        holder = stack.enter_context(psycopg.connect(rig.database_url))
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            is_held = seconds / 3 <= passed < seconds * 2 / 3
            if is_held:
                # The first one takes the snapshot.
                holder.execute("SELECT FROM events LIMIT 1")
            else:
                holder.rollback()
            if worker.poll() is not None:
                raise BenchError(f"the worker ended: {worker.last_words()}")
            yield sampler.look(is_held=is_held)
            time.sleep(SAMPLE_SECONDS)


def run(folder: Path, rows: int, seconds: float) -> list[Sample]:
    """Run it, and return the samples."""
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres(folder / "postgres", durable=True))
        broker = stack.enter_context(Redis(folder / "redis", append_only=True))
        migrate(postgres.url)
        rig = Rig(postgres.url, broker.url)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(OLD_ROWS, [rows])
        click.echo(f"{rows:,} events are there", err=True)
        environment = {
            **os.environ,
            "CELERY_BROKER_URL": broker.url,
            "DATABASE_URL": postgres.url,
            "C_FORCE_ROOT": "1",
        }
        load = Load(rig)
        load.start()
        worker = stack.enter_context(process(SETTLE.commands()[0], environment))
        # What a start is like is no part of it.
        rig.wait(STEP, Running([worker], []))
        rig_samples = []
        for sample in samples(rig, worker, seconds):
            rig_samples.append(sample)
            click.echo(f"{sample.seconds:6,.0f} s: {sample.outcomes:,} outcomes", err=True)
            if not load.is_alive():
                raise BenchError("the load has ended")
        load.stop()
        rig.wait(load.made, Running([worker], []))
        if (settled := rig.settled()) != load.made:
            raise BenchError(f"{settled:,} of {load.made:,} updates settled an event")
        return rig_samples


def thirds(found: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Return the samples of each third."""
    held = [number for number, sample in enumerate(found) if sample.is_held]
    first, last = held[0], held[-1]
    parts = (found[:first], found[first : last + 1], found[last + 1 :])
    return {name: list(part) for name, part in zip(THIRDS, parts, strict=True)}


def row(name: str, part: Sequence[Sample]) -> str:
    """Return a line of the table: what a third began and ended with."""
    first, last = part[0], part[-1]
    rate = (last.outcomes - first.outcomes) / (last.seconds - first.seconds)
    hot = (last.hot - first.hot) / max(last.updated - first.updated, 1)
    wal = (last.wal_mb - first.wal_mb) * 1e6 / max(last.outcomes - first.outcomes, 1)
    queued = min(sample.queued for sample in part)
    return (
        f"| {name} | {rate:,.0f} | {queued:,} | {hot:.0%} | {last.dead:,} | "
        f"{last.vacuums - first.vacuums} | {first.table_mb:,.0f} to {last.table_mb:,.0f} | "
        f"{first.index_mb:,.0f} to {last.index_mb:,.0f} | {wal:,.0f} | "
        f"{first.worker_mb:,.0f} to {last.worker_mb:,.0f} | {first.files} to {last.files} | "
        f"{first.connections} to {last.connections} |"
    )


@click.command()
@click.option("--minutes", default=30.0, show_default=True, type=click.FloatRange(min=1))
@click.option("--rows", default=10_000_000, show_default=True, help="Rows at the beginning.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    help="For the samples and the drawing.",
)
def main(minutes: float, rows: int, folder: Path | None) -> None:
    """Print a row for each third, and draw it."""
    try:
        with temporary_folder() as servers:
            found = run(servers, rows, minutes * 60)
    except (BenchError, psycopg.Error, redis.RedisError) as error:
        said = str(error).partition("\n")[0]
        raise click.ClickException(f"nothing was measured: {said}") from error
    click.echo(
        "| | updates/s | least queued | HOT | dead rows | autovacuums | table MB | index MB "
        "| WAL bytes an update | worker MB | its files | connections |"
    )
    click.echo("|---|" + "--:|" * 11)
    for name, part in thirds(found).items():
        click.echo(row(name, part))
    if folder is not None:
        (folder / "soak.json").write_text(json.dumps([sample._asdict() for sample in found]))
        draw(found, folder / "benchmarks-soak.svg")


if __name__ == "__main__":
    main()
