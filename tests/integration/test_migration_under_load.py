"""A live table, migrated: nobody waits for long, and all that is pending is listed afterwards."""

from __future__ import annotations

import itertools
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from bench.partitions import take
from cli.embedded import Postgres
from db import Creation, Database, Settlement, TransientDatabaseError
from db.listing import Listing, list_events
from db.migrate import migrate
from tests.accounts import CannotCreateUsersError, postgres_role
from tests.service import eventually
from tests.standby import alter
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Urls

LOAD = """
INSERT INTO events (id, account_id, event_type, payload, created_at, completed_at)
SELECT 'ev_' || lpad(n::text, 6, '0'), 'acct_' || n %% 3, 'order', '{}', now(),
  CASE WHEN n %% 2 = 0 THEN now() END
FROM generate_series(0, %s - 1) AS n
"""
PENDING = """
SELECT account_id, created_at, id FROM events WHERE completed_at IS NULL AND failed_at IS NULL
ORDER BY id
"""
INDEXES = """
SELECT c.relname::text, bool_and(i.indisvalid) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
WHERE c.relname IN ('events_by_account', 'events_by_time') GROUP BY 1 ORDER BY 1
"""
WAITING = """
SELECT pid FROM pg_stat_progress_create_index JOIN pg_stat_activity USING (pid)
WHERE phase LIKE 'waiting for%' AND wait_event_type = 'Lock'
"""
MAKE_OWNER = """
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
  LOOP EXECUTE format('ALTER TABLE %I OWNER TO "{}"', name); END LOOP;
END $$
"""
ROWS = 30_000


@pytest.fixture(params=["plain", "partitioned"])
def old_url(request: pytest.FixtureRequest, urls: Urls) -> Iterator[str]:
    """Give a database as the first migration has left it, with events in either kind of table."""
    url = f"{urls.database.rpartition('/')[0]}/settle_old"
    with psycopg.connect(urls.database, autocommit=True) as server:
        server.execute("CREATE DATABASE settle_old")
        migrate(url, "0001")
        with psycopg.connect(url, autocommit=True) as owner:
            if request.param == "partitioned":
                take("create", owner)
                owner.execute("DROP TABLE events")
                owner.execute("ALTER TABLE events_hashed RENAME TO events")
                owner.execute("ALTER INDEX events_hashed_pkey RENAME TO events_pkey")
            owner.execute(LOAD, [ROWS])
        yield url
        server.execute("DROP DATABASE settle_old WITH (FORCE)")


def check_all_pending_are_followed(url: str) -> None:
    """See that each is in its place, and that both indexes are of use."""
    with psycopg.connect(url) as owner:
        followed = owner.execute("TABLE pending_events ORDER BY id").fetchall()
        assert followed == owner.execute(PENDING).fetchall()
        indexes = [("events_by_account", True), ("events_by_time", True)]
        assert owner.execute(INDEXES).fetchall() == indexes


def test_a_live_table_is_migrated(old_url: str) -> None:
    """While events are created and settled, by whoever gives up after two seconds of waiting."""
    stop, failed = threading.Event(), list[Exception]()
    numbers = itertools.count(1, 2)

    def settle() -> None:
        with closing(Database(old_url, lock_timeout_seconds=2)) as database:
            while not stop.is_set():
                ids = [f"ev_{next(numbers):06}" for _ in range(20)]
                database.settle_pending_events(
                    [Settlement(id_, "completed", None, "m") for id_ in ids]
                )

    def create() -> None:
        with closing(Database(old_url, lock_timeout_seconds=2)) as database:
            for number in itertools.count():
                if stop.is_set():
                    return
                ids = [f"new_{number}_{n}" for n in range(20)]
                database.create_events([Creation(id_, "acct_9", "order", "{}") for id_ in ids])

    def watched(work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001 - it is looked at below
            failed.append(error)

    threads = [threading.Thread(target=watched, args=(work,)) for work in (settle, create)]
    for thread in threads:
        thread.start()
    try:
        migrate(old_url)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []
    check_all_pending_are_followed(old_url)


def test_a_migration_that_was_interrupted_is_taken_up(old_url: str) -> None:
    """An index that is built in part is built anew; what is there stays."""
    migrate(old_url, "0002")
    columns = "(account_id, created_at, id)"
    with psycopg.connect(old_url, autocommit=True) as owner:
        name = "events_by_account"
        if owner.execute("SELECT to_regclass('events_p0')").fetchone() != (None,):
            owner.execute(f"CREATE INDEX {name} ON ONLY events {columns}".encode())
            name = "events_p0_by_account"
        table = "events_p0" if "_p0" in name else "events"
        owner.execute(f"CREATE INDEX {name} ON {table} {columns}".encode())
        owner.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)", [name]
        )
    migrate(old_url)
    check_all_pending_are_followed(old_url)


def test_a_table_that_is_locked_is_left_alone(old_url: str) -> None:
    """Rather than keep all others waiting behind; nothing is changed, and it may be tried again."""
    with psycopg.connect(old_url) as long_one:
        long_one.execute("LOCK TABLE events IN ROW EXCLUSIVE MODE")
        with pytest.raises(TransientDatabaseError, match=r"lock timeout.* `settle migrate` again"):
            migrate(old_url)
    with psycopg.connect(old_url) as owner:
        assert owner.execute("SELECT to_regclass('pending_events')").fetchone() == (None,)
    migrate(old_url)
    check_all_pending_are_followed(old_url)


@contextmanager
def migrating(
    url: str, caplog: pytest.LogCaptureFixture, *, fails_with: str = ""
) -> Iterator[None]:
    """Migrate, from when it waits for whoever writes; it has ended when the block is left."""
    failed = list[Exception]()

    def run() -> None:
        try:
            migrate(url)
        except Exception as error:  # noqa: BLE001 - it is looked at below
            failed.append(error)

    # It may wait for what the test has begun, and ends only when it is failed.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    eventually(lambda: "waits for " in caplog.text or not thread.is_alive())
    assert thread.is_alive(), failed or "it has waited for nobody"
    yield
    thread.join()
    assert bool(failed) == bool(fails_with), failed
    assert fails_with in "".join(map(str, failed))


@pytest.mark.parametrize(
    "change",
    ["UPDATE events SET completed_at = now() WHERE id = 'ev_000001'", "DELETE FROM events"],
    ids=["settled", "deleted"],
)
def test_what_changes_while_it_is_taken_up_is_dropped_after(
    old_url: str, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own trigger has found nothing to drop, and only its commit says that it is changed."""
    migrate(old_url, "0002")
    with psycopg.connect(old_url) as writer:
        writer.execute(change.encode())
        with migrating(old_url, caplog):
            pid = writer.info.backend_pid
            writer.commit()
    assert f"older transactions to end: pid {pid}" in caplog.text
    check_all_pending_are_followed(old_url)


@pytest.fixture
def owner_url(old_url: str) -> Iterator[str]:
    """Give the way of an owner who is no superuser, from whom others' sessions are hidden."""
    try:
        with postgres_role("settle_owner", old_url) as url:
            name = url.partition("//")[2].partition(":")[0]
            with psycopg.connect(old_url, autocommit=True) as owner:
                owner.execute(MAKE_OWNER.format(name).encode())
            yield url
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


def test_what_sees_only_what_was_before_is_waited_for(
    old_url: str, owner_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it writes later, its trigger does not see what has been taken up."""
    migrate(owner_url, "0002")
    with psycopg.connect(old_url) as writer:
        writer.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        writer.execute("SELECT FROM alembic_version")
        with migrating(owner_url, caplog):
            writer.execute("UPDATE events SET completed_at = now() WHERE id = 'ev_000001'")
            writer.commit()
    check_all_pending_are_followed(old_url)


@pytest.fixture
def preparing_url() -> Iterator[str]:
    """Give a server where transactions may be prepared, as the second migration has left it."""
    with started(Postgres) as server:
        alter(server, "SET max_prepared_transactions = 1")
        server.stop()
        server.start()
        migrate(server.url, "0001")
        with psycopg.connect(server.url, autocommit=True) as owner:
            owner.execute(LOAD, [10])
        migrate(server.url, "0002")
        yield server.url


@pytest.mark.parametrize("is_prepared", [True, False], ids=["before", "meanwhile"])
def test_what_is_prepared_is_waited_for(
    preparing_url: str, is_prepared: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It belongs to no session any more, and is not over."""
    prepare = "PREPARE TRANSACTION 'settled'"
    with psycopg.connect(preparing_url, autocommit=True) as writer:
        writer.execute("BEGIN")
        writer.execute("UPDATE events SET completed_at = now() WHERE id = 'ev_000001'")
        if is_prepared:
            writer.execute(prepare)
        with migrating(preparing_url, caplog):
            if not is_prepared:
                writer.execute(prepare)
            eventually(lambda: "to end: one that is prepared" in caplog.text)
            writer.execute("COMMIT PREPARED 'settled'")
    check_all_pending_are_followed(preparing_url)


def test_a_writer_that_is_waited_for_may_lock_the_table(
    old_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Or they would wait for each other, as the server cannot know."""
    migrate(old_url, "0002")
    with psycopg.connect(old_url) as writer:
        writer.execute("SET LOCAL lock_timeout = '20s'")
        writer.execute("UPDATE events SET completed_at = now() WHERE id = 'ev_000001'")
        with migrating(old_url, caplog):
            try:
                writer.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            finally:
                writer.rollback()
    check_all_pending_are_followed(old_url)


def test_writers_of_another_database_are_not_waited_for(
    old_url: str, urls: Urls, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy of a database has the same numbers for its tables."""
    migrate(old_url, "0002")
    with psycopg.connect(urls.database, autocommit=True) as server:
        server.execute("CREATE DATABASE settle_copy TEMPLATE settle_old")
        try:
            with psycopg.connect(old_url.replace("settle_old", "settle_copy")) as writer:
                writer.execute("SET idle_in_transaction_session_timeout = '20s'")
                writer.execute("UPDATE events SET completed_at = now() WHERE id = 'ev_000001'")
                migrate(old_url)
                writer.rollback()
        finally:
            server.execute("DROP DATABASE settle_copy WITH (FORCE)")
    assert "waits for" not in caplog.text


# What each statement that changes the schema would wait for a lock, as it begins.
WATCH = """
CREATE TABLE seen (number serial, statement text, lock_timeout text);
CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO seen (statement, lock_timeout)
  VALUES (current_query(), current_setting('lock_timeout'));
END $$;
CREATE EVENT TRIGGER see ON ddl_command_start
WHEN TAG IN ('CREATE INDEX', 'DROP INDEX', 'ALTER INDEX') EXECUTE FUNCTION see();
"""


def test_only_what_others_queue_behind_gives_up(old_url: str) -> None:
    """What is built concurrently waits for old transactions for as long as they last."""
    migrate(old_url, "0002")
    with psycopg.connect(old_url, autocommit=True) as owner:
        owner.execute(WATCH.encode())
        migrate(old_url)
        seen = owner.execute("SELECT statement, lock_timeout FROM seen ORDER BY number").fetchall()
    assert seen
    for statement, lock_timeout in seen:
        assert lock_timeout == ("0" if "CONCURRENTLY" in statement else "5s"), statement


def test_an_index_waits_for_a_transaction_that_began_before(
    old_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for it meanwhile; killed then, it leaves an index that the next run replaces."""
    migrate(old_url, "0002")
    with (
        psycopg.connect(old_url) as writer,
        psycopg.connect(old_url) as long_one,
        psycopg.connect(old_url, autocommit=True) as owner,
    ):
        writer.execute("UPDATE events SET completed_at = now() WHERE id = 'ev_000003'")
        with migrating(old_url, caplog, fails_with="run `settle migrate` again"):
            # Who begins only now is not waited for before there are indexes to build.
            long_one.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            long_one.execute("SELECT FROM events LIMIT 1")
            writer.commit()
            eventually(lambda: owner.execute(WAITING).fetchone() is not None)
            with closing(Database(old_url, lock_timeout_seconds=2)) as database:
                database.settle_pending_events([Settlement("ev_000001", "completed", None, "m")])
            owner.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index")
        assert False in {is_valid for _, is_valid in owner.execute(INDEXES).fetchall()}
    migrate(old_url)
    check_all_pending_are_followed(old_url)


@pytest.mark.parametrize("old_url", ["partitioned"], indirect=True)
def test_a_partition_that_is_read_is_not_waited_for_long(old_url: str) -> None:
    """To attach its index keeps all others from it: that gives up, and the next run goes on."""
    migrate(old_url, "0002")
    with psycopg.connect(old_url, autocommit=True) as owner:
        owner.execute("CREATE INDEX events_p0_by_account ON events_p0 (account_id, created_at, id)")
    with psycopg.connect(old_url) as reader:
        # If it is waited for all the same, then not for ever.
        reader.execute("SET idle_in_transaction_session_timeout = '20s'")
        reader.execute("SELECT FROM events_p0 LIMIT 1")
        with pytest.raises(TransientDatabaseError, match=r"lock timeout.* `settle migrate` again"):
            migrate(old_url)
        reader.rollback()
    migrate(old_url)
    check_all_pending_are_followed(old_url)


def test_who_could_read_events_can_list_them(old_url: str) -> None:
    """Roles that were granted it before need nothing new, to settle neither."""
    try:
        with postgres_role("settle_owner", old_url) as url:
            with psycopg.connect(old_url, autocommit=True) as owner:
                name = url.partition("//")[2].partition(":")[0]
                owner.execute(f'GRANT SELECT, UPDATE ON events TO "{name}"'.encode())
            migrate(old_url)
            with closing(Database(url)) as database:
                before = len(list_events(database, Listing(100_000, state="pending")).rows)
                database.settle_pending_events([Settlement("ev_000001", "failed", None, "m")])
                after = len(list_events(database, Listing(100_000, state="pending")).rows)
            assert (before, after) == (ROWS // 2, ROWS // 2 - 1)
    except CannotCreateUsersError as error:
        pytest.skip(str(error))
