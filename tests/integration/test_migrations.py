"""The schema that Alembic makes."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from db import DatabaseError, TransientDatabaseError
from db.engine import engine_url
from db.loading import NewEvent, load_events
from db.migrate import _config, migrate
from db.models import Base
from db.revisions import newest_revision
from tests.accounts import CannotCreateUsersError, postgres_role
from tests.counting import wait_until_counted
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Urls


@pytest.fixture
def empty_url(urls: Urls) -> Iterator[str]:
    """Give a database that was never migrated."""
    with psycopg.connect(urls.database, autocommit=True) as connection:
        connection.execute("CREATE DATABASE settle_empty")
        yield f"{urls.database.rpartition('/')[0]}/settle_empty"
        connection.execute("DROP DATABASE settle_empty WITH (FORCE)")


def test_the_models_are_what_the_migrations_make(database_url: str) -> None:
    """A change of one without the other is found here."""
    engine = sqlalchemy.create_engine(engine_url(database_url), poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_twice_and_by_several_at_once_is_safe(empty_url: str) -> None:
    """An advisory lock lets one do it; the others find it done."""
    command = [sys.executable, "-m", "cli", "migrate"]
    environment = {**os.environ, "DATABASE_URL": empty_url}
    processes = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    migrate(empty_url)
    with psycopg.connect(empty_url) as connection:
        versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    assert versions == [(newest_revision(),)]


def test_the_newest_revision_is_alembics_too() -> None:
    """Their files are numbered, and follow one another."""
    scripts = ScriptDirectory.from_config(_config())
    assert scripts.get_heads() == [newest_revision()]
    assert all(
        script.path.rpartition("/")[2].startswith(script.revision)
        for script in scripts.walk_revisions()
    )


def test_a_newer_schema_is_left_alone(database_url: str) -> None:
    """An older version, rolled back to, says so."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseError, match="'9999': a newer version of Settle has migrated it"):
        migrate(database_url)


def test_what_the_triggers_call_is_replaced_wherever_it_is(database_url: str) -> None:
    """A search path that has changed since makes no second function of it."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("UPDATE alembic_version SET version_num = '0003'")
        owner.execute("CREATE SCHEMA other")
        name = owner.info.dbname
        owner.execute(f'ALTER DATABASE "{name}" SET search_path = other, public'.encode())
        migrate(database_url)
        found = owner.execute(
            "SELECT pronamespace::regnamespace::text, proconfig[1], prosrc LIKE '%LATERAL%', "
            "has_function_privilege('public', oid, 'EXECUTE') "
            "FROM pg_proc WHERE proname = 'follow_pending_events'"
        ).fetchall()
    assert found == [("public", "search_path=public, pg_temp", True, False)]


def test_what_an_earlier_migration_left_pending_is_dropped(database_url: str) -> None:
    """It is settled, or gone: nobody else would ever drop it."""
    load_events(database_url, [NewEvent(f"ev_{n}", "acct_1") for n in range(3)])
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("CREATE TEMP TABLE all_of_them AS TABLE pending_events")
        owner.execute("UPDATE events SET completed_at = now() WHERE id = 'ev_0'")
        owner.execute("DELETE FROM events WHERE id = 'ev_1'")
        owner.execute("INSERT INTO pending_events TABLE all_of_them ON CONFLICT DO NOTHING")
        owner.execute("UPDATE alembic_version SET version_num = '0003'")
        migrate(database_url)
        assert owner.execute("SELECT id FROM pending_events").fetchall() == [("ev_2",)]


def test_what_is_pending_is_looked_up_by_its_key_to_see_whether_it_is(database_url: str) -> None:
    """Also in a table that has been filled since the server has looked at it."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        for table in ("events", "pending_events"):
            owner.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)".encode())
            owner.execute(f"ANALYZE {table}".encode())
        load_events(database_url, [NewEvent(f"ev_{n}", "acct_1") for n in range(1_000)])
        owner.execute("UPDATE alembic_version SET version_num = '0003'")
        before = looked_up(owner)
        migrate(database_url)
        assert looked_up(owner) - before >= 1_000


def looked_up(owner: psycopg.Connection) -> int:
    """Return how many lookups by an index of events there have been."""
    wait_until_counted(owner)
    (lookups,) = owner.execute(
        "SELECT sum(idx_scan)::int FROM pg_stat_user_indexes WHERE relname = 'events'"
    ).fetchone() or (0,)
    return int(lookups)


@pytest.mark.parametrize("again", ["UPDATE", "INSERT"])
def test_what_is_pending_again_meanwhile_is_not_dropped(database_url: str, again: str) -> None:
    """It finds its row there, and so makes no other."""
    load_events(database_url, [NewEvent("ev_1", "acct_1")])
    become = "UPDATE events SET completed_at = NULL, settled_by = NULL"
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("CREATE TEMP TABLE all_of_them AS TABLE pending_events")
        owner.execute("CREATE TEMP TABLE event AS TABLE events")
        if again == "INSERT":
            become = "INSERT INTO events TABLE event"
            owner.execute("DELETE FROM events")
        else:
            owner.execute("UPDATE events SET completed_at = now(), settled_by = 'm'")
        owner.execute("INSERT INTO pending_events TABLE all_of_them")
        owner.execute("UPDATE alembic_version SET version_num = '0003'")
        owner.execute("BEGIN")
        owner.execute(become.encode())
        with psycopg.connect(database_url, autocommit=True) as watcher, ThreadPoolExecutor() as one:
            migrating = one.submit(migrate, database_url)
            waits = "SELECT FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'"
            eventually(lambda: migrating.done() or watcher.execute(waits).fetchone() is not None)
            owner.execute("COMMIT")
            migrating.result()
        assert owner.execute("SELECT id FROM pending_events").fetchall() == [("ev_1",)]


def test_an_owner_who_may_not_see_events_is_told_so(empty_url: str) -> None:
    """Rather than taking those that are hidden for gone."""
    try:
        with postgres_role("settle_owner", empty_url) as url:
            migrate(url)
            load_events(url, [NewEvent("ev_1", "acct_1")])
            with psycopg.connect(url, autocommit=True) as owner:
                owner.execute("ALTER TABLE events ENABLE ROW LEVEL SECURITY")
                owner.execute("ALTER TABLE events FORCE ROW LEVEL SECURITY")
                owner.execute("UPDATE alembic_version SET version_num = '0003'")
                with pytest.raises(DatabaseError, match="row-level security"):
                    migrate(url)
                owner.execute("ALTER TABLE events NO FORCE ROW LEVEL SECURITY")
                migrate(url)
                assert owner.execute("SELECT id FROM pending_events").fetchall() == [("ev_1",)]
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


def test_a_table_of_others_that_has_the_same_name_is_left_alone(database_url: str) -> None:
    """A search path that has changed since finds it first."""
    load_events(database_url, [NewEvent("ev_1", "acct_1")])
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("UPDATE events SET completed_at = now()")
        owner.execute("CREATE SCHEMA other")
        owner.execute(
            "CREATE TABLE other.pending_events AS SELECT account_id, created_at, id FROM events"
        )
        name = owner.info.dbname
        owner.execute(f'ALTER DATABASE "{name}" SET search_path = other, public'.encode())
        owner.execute("UPDATE alembic_version SET version_num = '0003'")
        migrate(database_url)
        assert owner.execute("SELECT id FROM other.pending_events").fetchall() == [("ev_1",)]


def test_a_database_that_is_away_is_not_migrated() -> None:
    """It may be there later."""
    with pytest.raises(TransientDatabaseError, match="refused"):
        migrate("postgresql://127.0.0.1:1/settle")


def test_an_event_is_never_completed_and_failed(database_url: str) -> None:
    """The table itself refuses it."""
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute(
            "INSERT INTO events (id, account_id, event_type, payload, created_at, completed_at, "
            "failed_at) VALUES ('a', 'b', 'c', '{}', now(), now(), now())"
        )
