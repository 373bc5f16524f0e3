"""The guarded update as databases that are nearly PostgreSQL would need it, on PostgreSQL.

Four sessions settle overlapping batches, each in an order of its own: with the statement as
it is; without the lock in order, which Citus refuses over several shards; and at the
isolation that CockroachDB begins with. Prints rows a second, how many tries a batch
took, and why the others failed; every event must be settled once. Run:
`uv run python -m bench.statement_variants`.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import psycopg
from sqlalchemy import create_engine

from bench.errors import BenchError
from cli.embedded import servers
from db.loading import NewEvent, load_events
from db.migrate import migrate
from db.statements import settle_pending_events

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENTS, BATCH, SESSIONS = 4_000, 200, 4
LOCKED = "FOR NO KEY UPDATE OF events"
SERIALIZABLE = "SERIALIZABLE"


class Variant(NamedTuple):
    """A statement, and the isolation it runs at."""

    name: str
    statement: str
    isolation: str = "READ COMMITTED"


def variants() -> list[Variant]:
    """Return the statement as it is sent, and as others would need it."""
    dialect = create_engine("postgresql+psycopg://").dialect
    statement = str(settle_pending_events(with_payload=False).compile(dialect=dialect))
    statement = statement.replace("%(status_1)s", "'completed'").replace("%(status_2)s", "'failed'")
    if LOCKED not in statement:
        raise BenchError("the statement locks otherwise than this file says")
    return [
        Variant("as it is", statement),
        Variant("without the lock in order (Citus)", statement.replace(LOCKED, "")),
        Variant("serializable (CockroachDB's default)", statement, SERIALIZABLE),
    ]


class Session(threading.Thread):
    """Settles all events, in an order of its own, and tries again what PostgreSQL gives up."""

    def __init__(self, url: str, variant: Variant, number: int) -> None:
        super().__init__()
        self._url, self._variant, self._number = url, variant, number
        self.settled: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def run(self) -> None:
        """Go through all batches."""
        ids = [f"evt_{number}" for number in range(EVENTS)]
        random.Random(self._number).shuffle(ids)
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"SET default_transaction_isolation = '{self._variant.isolation}'")
            for start in range(0, EVENTS, BATCH):
                self._settle(connection, ids[start : start + BATCH])

    def _settle(self, connection: psycopg.Connection, ids: Sequence[str]) -> None:
        parameters: dict[str, Any] = {
            "event_ids": list(ids),
            "statuses": ["completed"] * len(ids),
            "account_ids": [None] * len(ids),
            "message_ids": [f"m{self._number}"] * len(ids),
        }
        while True:
            try:
                rows = connection.execute(self._variant.statement.encode(), parameters).fetchall()
            except psycopg.errors.OperationalError as error:
                self.failures[type(error).__name__] += 1
            else:
                self.settled.update(row[0] for row in rows)
                return


def measure(url: str, variant: Variant) -> str:
    """Return a line of what a variant did.

    Raises:
        BenchError: An event was settled more than once, or not at all.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE events")
    load_events(url, (NewEvent(f"evt_{number}", "acct_1") for number in range(EVENTS)))
    sessions = [Session(url, variant, number) for number in range(SESSIONS)]
    started = time.monotonic()
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    seconds = time.monotonic() - started
    settled: Counter[str] = sum((session.settled for session in sessions), Counter())
    if set(settled.values()) != {1} or len(settled) != EVENTS:
        raise BenchError(f"{variant.name}: {len(settled):,} of {EVENTS:,} events settled once")
    failures = sum((session.failures for session in sessions), Counter())
    batches = SESSIONS * EVENTS // BATCH
    tries = 1 + failures.total() / batches
    return f"{variant.name}: {EVENTS / seconds:,.0f} rows/s, {tries:.2f} tries, {dict(failures)}"


@click.command()
@click.option("--rounds", default=3, show_default=True)
def main(rounds: int) -> None:
    """Print a line for each variant in each round."""
    click.echo(f"{SESSIONS} sessions, each all of {EVENTS:,} events in batches of {BATCH}")
    with servers() as running:
        migrate(running.postgres.url)
        for _ in range(rounds):
            for variant in variants():
                click.echo(measure(running.postgres.url, variant))


if __name__ == "__main__":
    main()
