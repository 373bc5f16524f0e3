"""How full pages may be for settling to stay HOT, and what that costs.

Settles 20,000 events in batches of 1,000 on an embedded PostgreSQL, for several
fill factors, payload sizes and orders. Run: `uv run python -m bench.fillfactor`.
"""

from __future__ import annotations

import random
import time
from itertools import product

import click
import psycopg

from cli.embedded import servers
from db import Database, Settlement
from db.loading import NewEvent, load_events
from db.migrate import migrate

EVENTS, BATCH = 20_000, 1_000
FILL_FACTORS = (40, 45, 50, 60, 70, 90, 100)
PAYLOAD_BYTES = (60, 500)
ORDERS = ("created", "random")

STATISTICS = """
SELECT n_tup_upd, n_tup_hot_upd, pg_relation_size('events'), pg_relation_size('events_pkey')
FROM pg_stat_user_tables WHERE relname = 'events'
"""


def measure(url: str, fill_factor: int, payload_bytes: int, order: str) -> tuple[float, ...]:
    """Return the share of HOT updates, table and index size in MB, and rows a second."""
    ids = [f"evt_{number:08}" for number in range(EVENTS)]
    with psycopg.connect(url, autocommit=True) as connection:
        # Emptied and dropped statistics: a new table with the same definition.
        connection.execute("CREATE TABLE fresh (LIKE events INCLUDING ALL)")
        connection.execute("DROP TABLE events")
        connection.execute("ALTER TABLE fresh RENAME TO events")
        connection.execute("ALTER INDEX fresh_pkey RENAME TO events_pkey")
        connection.execute(f"ALTER TABLE events SET (fillfactor = {fill_factor})".encode())
    payload = {"text": "x" * payload_bytes}
    load_events(url, [NewEvent(id_, "acct_1", "order.created", payload) for id_ in ids])
    if order == "random":
        random.Random(1).shuffle(ids)
    database = Database(url)
    started = time.monotonic()
    for start in range(0, EVENTS, BATCH):
        message_id = f"00000000-0000-0000-0000-{start:012}"
        batch = ids[start : start + BATCH]
        database.settle_pending_events(
            [Settlement(i, "completed", None, message_id) for i in batch]
        )
    seconds = time.monotonic() - started
    database.close()
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        updated, hot, table, index = connection.execute(STATISTICS).fetchone() or (1, 0, 0, 0)
    return hot / max(updated, 1), table / 1e6, index / 1e6, EVENTS / seconds


@click.command()
def main() -> None:
    """Print a line for each combination."""
    with servers() as running:
        url = running.postgres.url
        migrate(url)
        click.echo("fill factor  payload  order    HOT   table MB  index MB  rows/s (1 run)")
        for fill_factor, payload, order in product(FILL_FACTORS, PAYLOAD_BYTES, ORDERS):
            hot, table, index, rate = measure(url, fill_factor, payload, order)
            click.echo(
                f"{fill_factor:11}  {payload:7}  {order:7}  {hot:4.0%}"
                f"  {table:8.1f}  {index:8.1f}  {rate:6,.0f}"
            )


if __name__ == "__main__":
    main()
