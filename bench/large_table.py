"""A table of ten million rows, plain and in hash partitions: how settling and vacuum fare.

Loads events in the order of their ids on an embedded, durable PostgreSQL, settles some in
batches of random ids on one connection, moves the table into the partitions of
docs/scaling.md, and settles as many again. Autovacuum is off, so that what it would have
to do is seen. Run: `uv run python -m bench.large_table --rows 10000000`, which takes some
eight gigabytes of disk.
"""

from __future__ import annotations

import random
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import click
import psycopg

from bench.partitions import take
from cli.embedded import Postgres, temporary_folder
from db import Database, Settlement
from db.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BATCH = 1_000

LOAD = """
INSERT INTO events (id, account_id, event_type, payload, created_at)
SELECT 'evt_' || lpad(n::text, 10, '0'), 'acct_' || n %% 1000, 'order.created',
  jsonb_build_object('text', repeat('x', 60)), now()
FROM generate_series(0, %s - 1) AS n
"""
STATISTICS = """
SELECT sum(n_tup_upd)::float, sum(n_tup_hot_upd)::float, sum(n_dead_tup)::int,
  sum(pg_table_size(relid))::float, sum(pg_indexes_size(relid))::float
FROM pg_stat_user_tables WHERE schemaname = 'public' AND relname LIKE 'events%'
"""


class Figures(NamedTuple):
    """What one kind of table came to."""

    table: str
    rows_per_second: float
    hot: float
    dead: int
    table_bytes: float
    index_bytes: float
    vacuum_seconds: float
    index_scans: int


def load(connection: psycopg.Connection, rows: int) -> None:
    """Load pending events, and vacuum once as autovacuum would after so many inserts."""
    connection.execute(LOAD, (rows,))
    connection.execute("VACUUM (ANALYZE) events")


def measure(
    connection: psycopg.Connection, url: str, table: str, numbers: Sequence[int]
) -> Figures:
    """Settle events by their numbers, in batches in this order, and vacuum."""
    connection.execute("SELECT pg_stat_reset()")
    with closing(Database(url)) as database:
        started = time.monotonic()
        for start in range(0, len(numbers), BATCH):
            database.settle_pending_events(
                [
                    Settlement(f"evt_{number:010}", "completed", None, f"{start:036}")
                    for number in numbers[start : start + BATCH]
                ]
            )
        rate = len(numbers) / (time.monotonic() - started)
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(STATISTICS).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    updated, hot, dead, table_bytes, index_bytes = row
    seconds, index_scans = vacuum(connection)
    return Figures(table, rate, hot / updated, dead, table_bytes, index_bytes, seconds, index_scans)


def vacuum(connection: psycopg.Connection) -> tuple[float, int]:
    """Vacuum, and return for how long, and how many times it went through an index."""
    notices: list[str] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        notices.append(diagnostic.message_primary or "")

    connection.add_notice_handler(note)
    started = time.monotonic()
    connection.execute("VACUUM (VERBOSE) events")
    seconds = time.monotonic() - started
    connection.remove_notice_handler(note)
    return seconds, sum("index scans: 0" not in text for text in notices if "index scans: " in text)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long something took."""
    started = time.monotonic()
    yield
    click.echo(f"{what}: {time.monotonic() - started:,.1f} s")


def run(rows: int, settled: int) -> Iterator[Figures]:
    """Measure both kinds of table."""
    numbers = random.Random(1).sample(range(rows), 2 * settled)
    with temporary_folder() as folder, Postgres(folder / "postgres", durable=True) as server:
        migrate(server.url)
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET autovacuum = off")
            connection.execute("SELECT pg_reload_conf()")
            with timed(f"load {rows:,} events"):
                load(connection, rows)
            yield measure(connection, server.url, "plain", numbers[:settled])
            take("create", connection)
            with timed(f"copy {settled:,} settled events"):
                take("copy", connection)
            with timed(f"switch, and copy {rows - settled:,} pending events"):
                take("switch", connection)
            connection.execute("DROP TABLE events_plain")
            connection.execute("VACUUM (ANALYZE) events")
            yield measure(connection, server.url, "partitioned", numbers[settled:])


@click.command()
@click.option("--rows", default=10_000_000, show_default=True, type=click.IntRange(min=2))
@click.option("--settled", type=int, help="Events settled in each table. Default: a fifth.")
def main(*, rows: int, settled: int | None) -> None:
    """Print how long each step took, then a line for each kind of table."""
    figures = list(run(rows, settled or rows // 5))
    click.echo("table        rows/s   HOT  dead rows  table MB  index MB  vacuum s  index scans")
    for one in figures:
        click.echo(
            f"{one.table:11}  {one.rows_per_second:6,.0f}  {one.hot:4.0%}  {one.dead:9,}"
            f"  {one.table_bytes / 1e6:8,.0f}  {one.index_bytes / 1e6:8,.0f}"
            f"  {one.vacuum_seconds:8.1f}  {one.index_scans:11}"
        )


if __name__ == "__main__":
    main()
