"""The service behind a PgBouncer in transaction mode, configured as the documentation says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from cli.doctor.examination import examine
from cli.doctor.parts import database_part
from db import Database, Settlement, TransientDatabaseError
from db.loading import NewEvent, load_events
from db.migrate import migrate
from service.finding import Verdict
from service.settings import Settings
from tests.conftest import with_name
from tests.pgbouncer import SESSIONS, in_front_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Urls
    from tests.pgbouncer import PgBouncer

pytestmark = pytest.mark.pgbouncer
# More than there are sessions: every thread gets all of them in turn.
THREADS = 6
BATCHES = 40
BATCH_UPDATES = 25


@pytest.fixture
def pooler(database_url: str) -> Iterator[PgBouncer]:
    """Give a pooler in front of a migrated, empty database."""
    with in_front_of(database_url) as pooler:
        yield pooler


def load(url: str, count: int) -> list[str]:
    """Load pending events and return their ids."""
    ids = [f"ev_{number:05}" for number in range(count)]
    load_events(url, [NewEvent(id_, "acct_1") for id_ in ids])
    return ids


def batch(ids: list[str], message_id: str) -> list[Settlement]:
    """Make a batch that completes events."""
    return [Settlement(id_, "completed", None, message_id) for id_ in ids]


def ask(database: Database, question: str) -> Any:
    """Ask one question in a transaction of its own."""
    with database.engine.begin() as connection:
        return connection.exec_driver_sql(question).scalar_one()


def test_many_batches_of_many_threads(pooler: PgBouncer, database_url: str) -> None:
    """Each event is settled once, all outcomes are true, and nothing stays prepared."""
    ids = load(database_url, BATCHES * BATCH_UPDATES)
    batches = [ids[start::BATCHES] for start in range(BATCHES)]
    with closing(Database(pooler.url)) as database, ThreadPoolExecutor(THREADS) as pool:

        def settle_all(thread: int) -> int:
            message_id, won = f"m{thread}", 0
            # Each begins elsewhere, so that they meet.
            for number in range(BATCHES):
                of_batch = batches[(number + thread * 7) % BATCHES]
                rows = database.settle_pending_events(batch(of_batch, message_id))
                assert rows.keys() == set(of_batch)
                assert {row.status for row in rows.values()} == {"completed"}
                won += sum(row.settled_by == message_id for row in rows.values())
            return won

        won = list(pool.map(settle_all, range(THREADS)))
        left = [ask(database, "SELECT count(*) FROM pg_prepared_statements") for _ in range(9)]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT settled_by, count(*) FROM events GROUP BY 1").fetchall()
    assert sum(won) == len(ids)
    assert {f"m{thread}": count for thread, count in enumerate(won) if count} == dict(rows)
    assert set(left) == {0}


def test_timeouts_are_those_of_each_transaction(pooler: PgBouncer) -> None:
    """Whichever session it gets; the session itself is left as it was."""
    with (
        closing(Database(pooler.url, statement_timeout_seconds=7)) as seven,
        closing(Database(pooler.url, statement_timeout_seconds=8)) as eight,
        psycopg.connect(pooler.url, autocommit=True, prepare_threshold=None) as other,
    ):
        for _ in range(5):
            assert ask(seven, "SHOW statement_timeout") == "7s"
            assert ask(eight, "SHOW statement_timeout") == "8s"
            assert ask(eight, "SHOW lock_timeout") == "10s"
            assert other.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_a_locked_row_is_transient(pooler: PgBouncer, database_url: str) -> None:
    """The lock timeout is in force, and the same batch succeeds later."""
    ids = load(database_url, 1)
    with closing(Database(pooler.url, lock_timeout_seconds=0.05)) as database:
        with psycopg.connect(database_url) as other:
            other.execute("SELECT FROM events FOR UPDATE")
            with pytest.raises(TransientDatabaseError, match="lock timeout"):
                database.settle_pending_events(batch(ids, "m"))
        assert database.settle_pending_events(batch(ids, "m"))[ids[0]].settled_by == "m"


def test_a_full_pooler_is_transient(pooler: PgBouncer, database_url: str) -> None:
    """No session came free in time, before a batch or for a new connection."""
    ids = load(database_url, 1)
    with closing(Database(pooler.url)) as known, closing(Database(pooler.url)) as new:
        assert known.read_events(ids)
        others = [psycopg.connect(pooler.url) for _ in range(SESSIONS)]
        for other in others:
            other.execute("SELECT 1")
        for database in (known, new):
            with pytest.raises(TransientDatabaseError):
                database.settle_pending_events(batch(ids, "m"))
        for other in others:
            other.close()
        for database in (known, new):
            assert database.settle_pending_events(batch(ids, "m"))[ids[0]].settled_by == "m"


def test_a_straight_connection_keeps_its_speed(database: Database) -> None:
    """Its timeouts are the session's, and what is asked often is prepared."""
    for _ in range(10):
        database.settle_pending_events(batch(["ev_1"], "m"))
    names = ask(database, "SELECT count(*) FROM pg_prepared_statements")
    assert names == len(("settle", "read", "wait like a writer"))
    assert ask(database, "SHOW statement_timeout") == "30s"
    assert ask(database, "SHOW lock_timeout") == "10s"


def test_the_doctor_knows_a_pooler(pooler: PgBouncer) -> None:
    """And does not count the server's sessions for the workers'."""
    settings = Settings.model_construct(**{**Settings().model_dump(), "database_url": pooler.url})
    findings = {result.check: result.finding for result in examine(database_part(settings, 2))}
    assert findings["server"].found.endswith("through a pooler")
    assert (findings["sessions"].verdict, bool(findings["sessions"].fix)) == (Verdict.UNKNOWN, True)
    for check in ("server", "migration", "table", "hot updates", "clock"):
        assert findings[check].verdict is Verdict.OK


def test_migrations_go_through_a_pooler(urls: Urls) -> None:
    """Their lock is the transaction's, so that it ends with it."""
    name = "settle_bare_pooled"
    with psycopg.connect(urls.database, autocommit=True) as owner:
        owner.execute(f'CREATE DATABASE "{name}"')
        try:
            with in_front_of(with_name(urls.database, name)) as pooler:
                for _ in range(3):
                    migrate(pooler.url)
                assert load(pooler.url, 3)
                locks = owner.execute(
                    "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database "
                    "WHERE locktype = 'advisory' AND datname = %s",
                    [name],
                )
                assert locks.fetchone() == (0,)
        finally:
            owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
