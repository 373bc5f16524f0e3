"""The guarded update on an events table whose partitions are on other PostgreSQL servers.

Settles the same events, in batches, on a table partitioned by hash over two servers: once
with local partitions, once with foreign tables of `postgres_fdw`; prints rows a second
with their spread, and what the plan sends to the other servers. Run:
`uv run python -m bench.foreign_tables`.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import psycopg

from cli.embedded import Postgres, temporary_folder
from db import Database, Settlement
from db.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHARDS = 2
KINDS = ("local partitions", "foreign tables")
# Without the primary key, which a table with foreign partitions cannot have.
PARENT = """
ALTER TABLE events RENAME TO events_plain;
CREATE TABLE events (LIKE events_plain INCLUDING DEFAULTS) PARTITION BY HASH (id);
"""
LOCAL = """
CREATE TABLE events_{n} PARTITION OF events (PRIMARY KEY (id))
FOR VALUES WITH (MODULUS {of}, REMAINDER {n})
"""
FOREIGN = """
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE SERVER shard_{n} FOREIGN DATA WRAPPER postgres_fdw
OPTIONS (host '{host}', port '{port}', dbname '{name}', fetch_size '1000', batch_size '1000');
CREATE USER MAPPING FOR CURRENT_USER SERVER shard_{n} OPTIONS (user '{user}');
CREATE FOREIGN TABLE events_{n} PARTITION OF events
FOR VALUES WITH (MODULUS {of}, REMAINDER {n}) SERVER shard_{n} OPTIONS (table_name 'events');
"""
FILL = """
INSERT INTO events (id, account_id, event_type, payload, created_at)
SELECT 'evt_' || lpad(n::text, 8, '0'), 'acct_1', 'order.created', '{}', now()
FROM generate_series(0, %s - 1) n
"""


def prepare(url: str, foreign: Sequence[str]) -> None:
    """Make the table one with partitions: on other servers if there are any, else here."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(PARENT)
        for number in range(SHARDS):
            values: dict[str, object] = {"n": number, "of": SHARDS}
            statement = LOCAL
            if foreign:
                parts = urlsplit(foreign[number])
                values |= {"host": parts.hostname, "port": parts.port, "user": parts.username}
                values |= {"name": parts.path.strip("/")}
                statement = FOREIGN
            connection.execute(statement.format(**values).encode())


def measure(url: str, rows: int, events: int, batch: int) -> float:
    """Return the rows a second that one connection settles, in a table of so many."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM events")
        connection.execute(FILL, [rows])
    ids = [f"evt_{number:08}" for number in range(events)]
    with closing(Database(url, statement_timeout_seconds=600)) as database:
        started = time.monotonic()
        for start in range(0, events, batch):
            part = [Settlement(id_, "completed", None, "m") for id_ in ids[start : start + batch]]
            settled = database.settle_pending_events(part)
            assert len(settled) == len(part)  # noqa: S101 - or nothing was measured
        return events / (time.monotonic() - started)


def plan(url: str) -> list[str]:
    """Return what the UPDATE sends to the other servers."""
    statement = """
    EXPLAIN (VERBOSE, COSTS OFF) WITH batch AS (SELECT 'evt_00000001' AS id),
    pending AS (SELECT events.id FROM events JOIN batch USING (id)
                WHERE completed_at IS NULL AND failed_at IS NULL FOR NO KEY UPDATE OF events)
    UPDATE events SET completed_at = now() FROM pending WHERE events.id = pending.id
    """
    with psycopg.connect(url) as connection:
        lines = [row[0].strip() for row in connection.execute(statement.encode()).fetchall()]
    return [line for line in lines if line.startswith("Remote SQL")]


def start(folder: Path, stack: ExitStack) -> dict[str, str]:
    """Start servers, and return where the table of each kind is."""
    urls = [
        stack.enter_context(Postgres(folder / f"server-{number}")).url
        for number in range(SHARDS + len(KINDS))
    ]
    for url in urls:
        migrate(url)
    local, foreign, *shards = urls
    prepare(local, [])
    prepare(foreign, shards)
    return dict(zip(KINDS, (local, foreign), strict=True))


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--rows", default=5_000, show_default=True, help="How many the table has.")
@click.option("--events", default=200, show_default=True, help="How many are settled.")
@click.option("--batch", default=100, show_default=True)
def main(rounds: int, rows: int, events: int, batch: int) -> None:
    """Print a row for each kind of partition."""
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with ExitStack() as stack:
        urls = start(stack.enter_context(temporary_folder()), stack)
        for _ in range(rounds):
            for kind, url in urls.items():
                rates[kind].append(measure(url, rows, events, batch))
        sent = plan(urls["foreign tables"])
    click.echo(f"{events:,} of {rows:,} events in batches of {batch:,}, {rounds} rounds")
    for kind, found in rates.items():
        spread = f"{min(found):,.0f} to {max(found):,.0f}"
        click.echo(f"{kind}: {median(found):,.0f} rows/s ({spread})")
    click.echo("\n".join(sent))


if __name__ == "__main__":
    main()
