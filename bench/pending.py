"""Listing pending events among ten million settled ones: ways to find them, and what each costs.

Loads settled events of one account on an embedded, durable PostgreSQL, the newest few of
them pending, so that whoever lists the pending ones has all others before them. Then, for
each way: makes as many pending again as are to be settled, all over the table, settles
half of them without it and half with it, in batches of random ids on one connection, lists
pages, and creates some events. `ratio` is of the median batches of these halves. They are
settled by turns, batch by batch, for what else a machine does changes; but for an index,
which is there or is not, one half after the other. Without autovacuum, so lists are those
of the worst time, when nothing has been cleared away yet; `vacuumed` is the same afterwards.
Run: `uv run python -m bench.pending --rows 10000000`, which takes some ten gigabytes of disk.
"""

from __future__ import annotations

import random
import statistics
import time
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import click
import psycopg

from bench.pending_ways import WAYS, Way
from cli.embedded import Postgres, temporary_folder
from db import Creation, Database, Settlement
from db.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

BATCH, PAGE, CREATED = 1_000, 100, 20_000
# Of each kind of page, or as many as this many seconds take.
PAGES, LIST_SECONDS = 200, 10.0

NAMES = tuple(way.name for way in WAYS)
LOAD = """
COPY events (id, account_id, event_type, payload, created_at, completed_at, settled_by)
FROM STDIN (FREEZE)
"""
GENERATED = """
COPY (
  SELECT 'evt_' || lpad(n::text, 10, '0'), 'acct_1', 'order.created',
    jsonb_build_object('text', repeat('x', 60)),
    timestamptz '2026-01-01' + n * interval '1 millisecond',
    CASE WHEN n < {settled} THEN now() END, CASE WHEN n < {settled} THEN repeat('m', 36) END
  FROM generate_series(0, {rows} - 1) AS n
) TO STDOUT
"""
REOPEN = """
UPDATE events SET completed_at = NULL, settled_by = NULL WHERE id = ANY(%s)
"""
LAST = "SELECT max(created_at) FROM events"
HOT = """
SELECT sum(n_tup_upd)::float, sum(n_tup_hot_upd)::float FROM pg_stat_user_tables
WHERE relname LIKE 'events%'
"""


HEAD = (
    "                                              first page, ms   later page, ms  vacuumed, ms\n"
    "way                         settled/s  ratio  HOT     p50     p99      p50     p99      p50"
    "     p99    made/s     MB"
)


class Figures(NamedTuple):
    """What a way came to."""

    way: str
    rows_per_second: float
    ratio: float
    hot: float
    first: list[float]
    further: list[float]
    vacuumed: list[float]
    created_per_second: float
    megabytes: float


def load(url: str, rows: int, pending: int) -> None:
    """Load events, as they are after a vacuum."""
    with psycopg.connect(url) as source, psycopg.connect(url) as target:
        target.execute("TRUNCATE events")
        query = GENERATED.format(settled=rows - pending, rows=rows)
        with (
            source.cursor().copy(query.encode()) as reading,
            target.cursor().copy(LOAD) as writing,
        ):
            for block in reading:
                writing.write(block)
        target.execute("ANALYZE events")


def measure(connection: psycopg.Connection, url: str, way: Way, ids: Sequence[str]) -> Figures:
    """Try a way: settle the events of some ids, list what is left, create others."""
    for start in range(0, len(ids), BATCH):
        connection.execute(REOPEN, [list(ids[start : start + BATCH])])
    connection.execute("VACUUM events")
    # So that the second half does not find more in memory than the first.
    connection.execute("SELECT count(payload) FROM events")
    connection.execute("CHECKPOINT")
    half = len(ids) // 2
    before = [] if way.by_turns else settle(url, [Way()], ids[:half])[0]
    way.set_up(connection, url)
    connection.execute("ANALYZE")
    # What this session has done is counted before it is forgotten.
    for statement in ("CHECKPOINT", "SELECT pg_stat_force_next_flush()", "SELECT pg_stat_reset()"):
        connection.execute(statement.encode())
    if way.by_turns:
        without, took = settle(url, [way.without, way], ids)
    else:
        without, (took,) = before, settle(url, [way], ids[half:])
    way.tidy(connection)
    rate = BATCH / statistics.median(took)
    ratio = rate * statistics.median(without) / BATCH
    connection.execute("SELECT pg_stat_force_next_flush()")
    updated, hot = connection.execute(HOT).fetchone() or (1, 0)
    first, further = pages(connection, way, further=False), pages(connection, way, further=True)
    connection.execute("VACUUM")
    vacuumed = pages(connection, way, further=False)
    created = create(url, way)
    (size,) = connection.execute(f"SELECT ({way.size}) / 1e6".encode()).fetchone() or (0,)
    way.tear_down(connection)
    connection.execute("DELETE FROM events WHERE id LIKE 'new_%'")
    lists = first, further, vacuumed
    share = hot / max(updated, 1)
    return Figures(way.name, rate, ratio, share, *lists, created, float(size))


def settle(url: str, ways: Sequence[Way], ids: Sequence[str]) -> list[list[float]]:
    """Settle events in batches, by turns in each way; return how many seconds each batch took."""
    took: list[list[float]] = [[] for _ in ways]
    with closing(Database(url)) as database:
        for number, start in enumerate(range(0, len(ids), BATCH)):
            batch = [
                Settlement(id_, "completed", None, f"{start:036}")
                for id_ in ids[start : start + BATCH]
            ]
            turn = number % len(ways)
            started = time.monotonic()
            ways[turn].settle(database, batch)
            took[turn].append(time.monotonic() - started)
    return took


def pages(connection: psycopg.Connection, way: Way, *, further: bool) -> list[float]:
    """List pages of pending events, and return how many milliseconds each took."""
    drawn = random.Random(2)
    took: list[float] = []
    deadline = time.monotonic() + LIST_SECONDS
    after, (last,) = "2020-01-01", connection.execute(LAST).fetchone() or (None,)
    while len(took) < PAGES and (time.monotonic() < deadline or not took):
        if further and last:
            after = str(last - timedelta(milliseconds=drawn.randrange(PAGE, 900)))
        started = time.monotonic()
        found = connection.execute(way.page.encode(), [after, PAGE]).fetchall()
        took.append((time.monotonic() - started) * 1_000)
        if len(found) != PAGE:
            raise click.ClickException(f"{way.name}: a page of {len(found)} events")
    return took


def create(url: str, way: Way) -> float:
    """Create events, and return how many a second."""
    creations = [
        Creation(f"new_{number:08}", f"acct_{number % 7}", "order.created", '{"total": 1}')
        for number in range(CREATED)
    ]
    if not way.creates:
        return 0
    with closing(Database(url)) as database:
        started = time.monotonic()
        for start in range(0, CREATED, BATCH):
            database.create_events(creations[start : start + BATCH])
        return CREATED / (time.monotonic() - started)


def run(rows: int, pending: int, settled: int, ways: Collection[str] = NAMES) -> Iterator[Figures]:
    """Try every way, or those of some names."""
    numbers = random.Random(1).sample(range(rows - pending), settled)
    ids = [f"evt_{number:010}" for number in numbers]
    with temporary_folder() as folder, Postgres(folder / "postgres", durable=True) as server:
        migrate(server.url, "0001")
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET autovacuum = off")
            connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
            connection.execute("SELECT pg_reload_conf()")
            load(server.url, rows, pending)
            for way in (each for each in WAYS if each.name in ways):
                yield measure(connection, server.url, way, ids)


def _percentiles(took: Sequence[float]) -> str:
    p50 = statistics.median(took)
    p99 = statistics.quantiles(took, n=100)[98] if len(took) > 1 else took[0]
    return f"{p50:7,.1f} {p99:7,.1f}"


@click.command()
@click.option("--rows", default=10_000_000, show_default=True, type=click.IntRange(min=20_000))
@click.option("--pending", default=10_000, show_default=True, type=click.IntRange(min=1_000))
@click.option("--settled", default=100_000, show_default=True, type=click.IntRange(min=1_000))
@click.option("--way", "ways", multiple=True, type=click.Choice(NAMES), help="This one alone.")
def main(*, rows: int, pending: int, settled: int, ways: tuple[str, ...]) -> None:
    """Print a line for each way."""
    click.echo(HEAD)
    for one in run(rows, pending, settled, ways or NAMES):
        lists = "  ".join(map(_percentiles, (one.first, one.further, one.vacuumed)))
        click.echo(
            f"{one.way:26}  {one.rows_per_second:8,.0f}  {one.ratio:5.2f}"
            f"  {one.hot:4.0%}  {lists}  {one.created_per_second:8,.0f}  {one.megabytes:5,.0f}"
        )


if __name__ == "__main__":
    main()
