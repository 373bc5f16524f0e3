"""The guarded update on a real PostgreSQL, on a plain table and on a hash-partitioned one."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest
import sqlalchemy

from db import BadDataError, Database, DatabaseError, Settlement, TransientDatabaseError
from db.loading import NewEvent, load_events
from settle_client.update import StatusUpdate
from tasks.messages import Message
from tasks.settle import settle_batch
from tests.counting import wait_until_counted
from tests.tables import both

pytestmark = both

ONE = """
INSERT INTO events (id, account_id, event_type, payload, created_at)
VALUES (%s, 'acct_1', 'order.created', '{}', now())
"""
MANY = """
INSERT INTO events (id, account_id, event_type, payload, created_at)
SELECT 'many_' || n, 'acct_1', 'order.created', '{}', now() FROM generate_series(1, %d) AS n
"""


def load(url: str, count: int, account: str = "acct_1") -> list[str]:
    """Load pending events and return their ids."""
    ids = [f"ev_{number:05}" for number in range(count)]
    assert load_events(url, [NewEvent(id_, account, payload={"id": id_}) for id_ in ids]) == count
    return ids


def settlement(
    id_: str, status: Any = "completed", message_id: str = "m", account: Any = None
) -> Any:
    """Make a settlement."""
    return Settlement(id_, status, account, message_id)


def test_a_pending_event_is_settled(database: Database, database_url: str) -> None:
    """Completed sets one timestamp, failed the other; the row remembers the message."""
    load(database_url, 2)
    rows = database.settle_pending_events(
        [settlement("ev_00000"), settlement("ev_00001", "failed", "other")]
    )
    completed, failed = rows["ev_00000"], rows["ev_00001"]
    assert (completed.status, completed.failed_at, completed.settled_by) == ("completed", None, "m")
    assert (failed.status, failed.completed_at, failed.settled_by) == ("failed", None, "other")
    assert database.read_events(["ev_00000", "ev_00001"]) == rows


def test_a_settled_event_never_changes_again(database: Database, database_url: str) -> None:
    """Neither to the other status nor to the same one at another time."""
    load(database_url, 1)
    first = database.settle_pending_events([settlement("ev_00000")])
    for status in ("failed", "completed"):
        assert database.settle_pending_events([settlement("ev_00000", status, "late")]) == first


def test_a_settled_event_is_read_and_not_locked(database: Database, database_url: str) -> None:
    """A lock would be a write, and would have a redelivery wait for whoever has the row."""
    pending, settled = load(database_url, 2)
    first = database.settle_pending_events([settlement(settled)])
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM events WHERE id = %s FOR UPDATE", [settled])
        rows = database.settle_pending_events([settlement(settled), settlement(pending)])
    assert rows[settled] == first[settled]
    assert rows[pending].status == "completed"


def test_an_unknown_event_has_no_row(database: Database) -> None:
    """And nothing is inserted for it."""
    assert database.settle_pending_events([settlement("nobody")]) == {}
    assert database.settle_pending_events([]) == {}


def test_an_event_of_another_account_stays_pending(database: Database, database_url: str) -> None:
    """The account is part of the guard."""
    load(database_url, 1)
    rows = database.settle_pending_events([settlement("ev_00000", account="acct_2")])
    assert rows["ev_00000"].status is None
    rows = database.settle_pending_events([settlement("ev_00000", account="acct_1")])
    assert rows["ev_00000"].status == "completed"


def test_the_first_settlement_that_applies_wins(database: Database, database_url: str) -> None:
    """One that asks for another account does not stand in the way of the next."""
    load(database_url, 1)
    rows = database.settle_pending_events(
        [
            settlement("ev_00000", "completed", "a", account="acct_2"),
            settlement("ev_00000", "failed", "b"),
            settlement("ev_00000", "completed", "c", account="acct_1"),
        ]
    )
    assert (rows["ev_00000"].status, rows["ev_00000"].settled_by) == ("failed", "b")


def test_the_payload_is_read_only_where_asked_for(database: Database, database_url: str) -> None:
    """It may be large."""
    load(database_url, 1)
    assert database.settle_pending_events([settlement("ev_00000")])["ev_00000"].payload is None
    rows = database.settle_pending_events([settlement("ev_00000")], with_payload=True)
    assert rows["ev_00000"].payload == '{"id": "ev_00000"}'
    assert database.read_events(["ev_00000"], with_payload=True) == rows
    assert database.read_events(["ev_00000"])["ev_00000"].payload is None


# What a server knows of a table that has no rows: nothing yet, that it has no pages, and, where it
# looked after all were settled, that there are none on the pages that it has.
EMPTY = {
    "new table": (),
    "vacuumed table": ("VACUUM (ANALYZE) events, pending_events",),
    "emptied table": (
        MANY % 20_000,
        "UPDATE events SET completed_at = now()",
        "DELETE FROM events",
        "ANALYZE events, pending_events",
    ),
}


@pytest.mark.parametrize("known", list(EMPTY))
def test_a_table_may_grow_behind_what_was_planned_for_it(
    database: Database, database_url: str, known: str
) -> None:
    """A session that has met a small table finds rows by their id in a large one as well."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        for statement in EMPTY[known]:
            owner.execute(statement)
        for number in range(10):
            id_ = f"first_{number}"
            owner.execute(ONE, [id_])
            assert database.settle_pending_events([settlement(id_)])[id_].status == "completed"
        owner.execute(MANY % 200_000)
    # A join of all rows with all of the batch takes longer than a statement may.
    for first, accounts in ((1, None), (1_001, ["acct_1"])):
        batch = [settlement(f"many_{number}") for number in range(first, first + 1_000)]
        assert len(database.settle_pending_events(batch, accounts=accounts)) == 1_000


def test_updates_stay_hot(database: Database, database_url: str) -> None:
    """No index mentions a column that settling writes, and every page has room."""
    ids = load(database_url, 5_000)
    for start in range(0, len(ids), 500):
        database.settle_pending_events([settlement(id_) for id_ in ids[start : start + 500]])
    database.close()
    with psycopg.connect(database_url, autocommit=True) as connection:
        wait_until_counted(connection)
        row = connection.execute(
            "SELECT sum(n_tup_upd)::int, sum(n_tup_hot_upd)::int FROM pg_stat_user_tables"
        ).fetchone()
        indexes = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'events%'"
        ).fetchall()
    assert row is not None
    updated, hot = row
    assert updated == 5_000
    assert hot >= 0.95 * updated
    assert not [index for (index,) in indexes if "completed_at" in index or "failed_at" in index]


def test_rows_are_found_by_their_ids(database: Database, database_url: str) -> None:
    """Never by a scan of the whole table or of an index, from a session's first batch on."""
    ids = load(database_url, 50_000)
    chosen = random.Random(1).sample(ids, 3_000)
    with psycopg.connect(database_url, autocommit=True) as owner:
        wait_until_counted(owner)
        owner.execute("SELECT pg_stat_reset()")
        for start in range(0, len(chosen), 1_000):
            settle_twice(database, chosen[start : start + 1_000])
        database.close()
        check_found_by_their_ids(owner, len(chosen))


# A database for reports may have indexes that are scanned less readily, or one row by one.
PREFERENCES = {
    "other scans": dict.fromkeys(
        ("enable_indexscan", "enable_bitmapscan", "enable_nestloop"), "off"
    ),
    "few lookups": {"random_page_cost": "1000", "cpu_index_tuple_cost": "1000"},
}


@pytest.mark.parametrize("preferred", list(PREFERENCES))
def test_rows_are_found_by_their_ids_whatever_a_database_prefers(
    database_url: str, preferred: str
) -> None:
    """And nothing is scanned as a whole."""
    ids = load(database_url, 2_000)
    with psycopg.connect(database_url, autocommit=True) as owner:
        for name, value in PREFERENCES[preferred].items():
            owner.execute(f'ALTER DATABASE "{owner.info.dbname}" SET {name} = {value}'.encode())
        wait_until_counted(owner)
        owner.execute("SELECT pg_stat_reset()")
        with closing(Database(database_url)) as database:
            settle_twice(database, ids[:1_000])
        check_found_by_their_ids(owner, 1_000)


def settle_twice(database: Database, ids: list[str]) -> None:
    """Settle a batch, and find it settled."""
    for _ in range(2):
        database.settle_pending_events([settlement(id_) for id_ in ids])


def check_found_by_their_ids(owner: psycopg.Connection, batch: int) -> None:
    """See that no more was read than what was settled twice."""
    wait_until_counted(owner)
    scans, fetched = owner.execute(
        "SELECT sum(seq_scan)::int, sum(idx_tup_fetch)::int FROM pg_stat_user_tables"
    ).fetchone() or (None, None)
    assert scans == 0
    # To lock, to update, to take from what is pending; then to find it settled, and to read.
    assert fetched <= 5 * batch


def test_overlapping_batches_of_four_writers(database: Database, database_url: str) -> None:
    """Shuffled ids, four connections: no deadlock, one winner an event, reasons that are true."""
    ids = [*load(database_url, 400), "unknown"]
    rounds, writers = 12, 4
    barrier = threading.Barrier(writers)

    def write(writer: int) -> list[tuple[str, Any]]:
        chance = random.Random(writer)
        answers = []
        for number in range(rounds):
            chosen = chance.sample(ids, 200)
            message_id = f"{writer}-{number}"
            updates = tuple(
                StatusUpdate(id=id_, status=chance.choice(["completed", "failed"]))
                for id_ in chosen
            )
            barrier.wait()
            (outcomes,) = settle_batch([Message(message_id, updates)], database)
            answers += [(message_id, outcome) for outcome in outcomes]
        return answers

    with ThreadPoolExecutor(writers) as pool:
        answers = [pair for many in pool.map(write, range(writers)) for pair in many]

    rows = database.read_events(ids)
    winners = Counter(outcome.id for _, outcome in answers if outcome.updated)
    assert winners == Counter(set(rows) & {outcome.id for _, outcome in answers})
    for message_id, outcome in answers:
        row = rows.get(outcome.id or "")
        if row is None:
            assert outcome.reason == "not_found"
        elif outcome.updated:
            assert row.settled_by == message_id
        else:
            assert outcome.reason == f"already_{row.status}"
    database.close()
    with psycopg.connect(database_url, autocommit=True) as connection:
        wait_until_counted(connection)
        (deadlocks,) = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone() or (None,)
    assert deadlocks == 0


def test_events_are_locked_in_the_order_of_their_ids(database: Database, database_url: str) -> None:
    """Whatever their order in the batch: so two batches never wait for each other."""
    low, middle, high = load(database_url, 3)
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT FROM events WHERE id = %s FOR UPDATE", [middle])
        batch = [settlement(high), settlement(middle), settlement(low)]
        waiting = pool.submit(database.settle_pending_events, batch)
        with psycopg.connect(database_url, autocommit=True) as watcher:
            wait_for_a_lock(watcher, waiting)
            free = watcher.execute("SELECT id FROM events FOR UPDATE SKIP LOCKED").fetchall()
        other.commit()
        assert {row.status for row in waiting.result().values()} == {"completed"}
    assert free == [(high,)]


def test_whoever_refers_to_an_event_is_not_in_the_way(
    database: Database, database_url: str
) -> None:
    """A foreign key of somebody's holds the row's key, which settling does not touch."""
    (id_,) = load(database_url, 1)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM events FOR KEY SHARE")
        assert database.settle_pending_events([settlement(id_)])[id_].status == "completed"


def wait_for_a_lock(watcher: psycopg.Connection, waiting: Future[Any]) -> None:
    """Wait until a session waits for a lock, and see that it does wait."""
    while not watcher.execute(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database()"
    ).fetchone():
        assert not waiting.done()


def test_a_redelivered_batch_is_answered_as_the_first_time(
    database: Database, database_url: str
) -> None:
    """Even after another message has tried the same events in between."""
    ids = load(database_url, 50)
    message = Message("m", tuple(StatusUpdate(id=id_, status="failed") for id_ in [*ids, "no"]))
    first = settle_batch([message], database)
    other = Message("n", tuple(StatusUpdate(id=id_, status="completed") for id_ in ids))
    (refused,) = settle_batch([other], database)
    assert {outcome.reason for outcome in refused} == {"already_failed"}
    assert settle_batch([message, message], database) == [*first, *first]


def test_a_row_inserted_between_the_two_statements_is_settled_too(
    database: Database, database_url: str
) -> None:
    """It is neither reported as pending nor as missing."""
    statements: list[str] = []

    @sqlalchemy.event.listens_for(database.engine, "after_cursor_execute")
    def insert(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)
        if len(statements) == 1:
            load(database_url, 1)

    message = Message("m", (StatusUpdate(id="ev_00000", status="completed"),))
    ((outcome,),) = settle_batch([message], database)
    assert outcome.updated
    assert len(statements) == 3


def test_a_batch_that_is_interrupted_is_settled_by_the_next_try(
    database: Database, database_url: str
) -> None:
    """Between its statements nothing is committed yet, and so it is told as if never tried."""
    load(database_url, 1)
    ended: list[int] = []

    @sqlalchemy.event.listens_for(database.engine, "before_cursor_execute")
    def interrupt(connection: sqlalchemy.Connection, _cursor: Any, statement: str, *_: Any) -> None:
        session = connection.connection.driver_connection
        if session is not None and statement.startswith("SELECT events") and not ended:
            ended.append(session.info.backend_pid)
            with psycopg.connect(database_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", ended)

    updates = tuple(StatusUpdate(id=id_, status="completed") for id_ in ("ev_00000", "no"))
    with pytest.raises(TransientDatabaseError):
        settle_batch([Message("m", updates)], database)
    assert ended
    assert database.read_events(["ev_00000"])["ev_00000"].status is None
    ((first, second),) = settle_batch([Message("m", updates)], database)
    assert (first.updated, second.reason) == (True, "not_found")


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_a_row_that_another_transaction_settles_meanwhile_is_read_as_committed(
    database: Database, database_url: str, isolation: str
) -> None:
    """The batch waits for the other's lock and then reports what the other has committed."""
    load(database_url, 1)
    with psycopg.connect(database_url) as owner:
        set_it = "ALTER DATABASE \"{}\" SET default_transaction_isolation = '{}'"
        owner.execute(set_it.format(owner.info.dbname, isolation).encode())
    message = Message("m", (StatusUpdate(id="ev_00000", status="completed"),))
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("UPDATE events SET failed_at = now(), settled_by = 'other'")
        waiting = pool.submit(settle_batch, [message], database)
        with psycopg.connect(database_url, autocommit=True) as watcher:
            wait_for_a_lock(watcher, waiting)
        other.commit()
        ((outcome,),) = waiting.result()
    assert outcome.reason == "already_failed"
    assert outcome.failed_at is not None


def test_who_settled_an_event_is_read_when_it_is_known(
    database: Database, database_url: str
) -> None:
    """Who settles it now is waited for: else a message would be taken for not applied."""
    load(database_url, 3)
    database.settle_pending_events([settlement("ev_00001", message_id="before")])
    ids = ["ev_00002", "ev_00001", "ev_00000", "nobody"]
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("UPDATE events SET failed_at = now(), settled_by = 'm' WHERE id = 'ev_00000'")
        waiting = pool.submit(database.read_settlers, ids)
        with psycopg.connect(database_url, autocommit=True) as watcher:
            wait_for_a_lock(watcher, waiting)
        other.commit()
        assert waiting.result() == {"ev_00000": "m", "ev_00001": "before"}
    assert database.read_settlers([]) == {}


def test_a_locked_row_is_transient(database_url: str) -> None:
    """After the lock timeout the batch is to be tried again."""
    database = Database(database_url, lock_timeout_seconds=0.05)
    load(database_url, 1)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM events FOR UPDATE")
        with pytest.raises(TransientDatabaseError, match="55P03"):
            database.settle_pending_events([settlement("ev_00000")])
    database.close()


def test_a_killed_session_is_transient_and_the_next_try_works(
    database: Database, database_url: str
) -> None:
    """A lost connection is replaced."""
    load(database_url, 1)
    database.read_events(["ev_00000"])
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'settle' AND datname = current_database()"
        )
    with pytest.raises(TransientDatabaseError):
        database.settle_pending_events([settlement("ev_00000")])
    assert database.settle_pending_events([settlement("ev_00000")])["ev_00000"].status


def test_a_value_that_cannot_be_stored_is_bad_data(database: Database) -> None:
    """Halving the batch will find it."""
    with pytest.raises(BadDataError):
        database.settle_pending_events([settlement("a\0b")])


def test_a_missing_table_is_for_an_operator(database: Database, database_url: str) -> None:
    """It is neither transient nor anybody's bad data, and a check finds it."""
    database.check()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP TABLE events")
    with pytest.raises(DatabaseError, match="42P01") as caught:
        database.settle_pending_events([settlement("ev_00000")])
    assert type(caught.value) is DatabaseError
    with pytest.raises(DatabaseError, match="42P01"):
        database.check()
