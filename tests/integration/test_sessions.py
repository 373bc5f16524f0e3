"""What a session is like, however the database is set up."""

from __future__ import annotations

import os
import socket
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.exc import DBAPIError

from db import Database, Settlement, TransientDatabaseError
from db.database import BY_ID
from db.engine import make_engine
from db.loading import NewEvent, load_events
from db.sessions import is_pooled
from settle_client.moments import timestamp
from tests.pgbouncer import in_front_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A liveness probe is more patient.
ENOUGH_SECONDS = 60
HAS_TRANSACTION_TIMEOUT = 170_000
PINNED = {
    "DateStyle": "iso, mdy",
    "TimeZone": "utc",
    "array_nulls": "on",
    "standard_conforming_strings": "on",
    "client_min_messages": "warning",
    "client_encoding": "utf8",
    "transaction_isolation": "read committed",
}


@contextmanager
def engine(url: str, **options: Any) -> Iterator[sqlalchemy.Engine]:
    """Make an engine whose timeouts are neither PostgreSQL's defaults nor those of the service."""
    engine = make_engine(
        url,
        application_name="test",
        statement_timeout_seconds=1.5,
        lock_timeout_seconds=0.25,
        **options,
    )
    yield engine
    engine.dispose()


def show(connection: sqlalchemy.Connection, names: Iterable[str]) -> dict[str, str]:
    """Return the settings of a session."""
    return {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one().lower() for name in names}


def make_contrary(database_url: str) -> str:
    """Give a database settings of its own that are not what anything here relies on."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        settings = [
            "statement_timeout = '7s'",
            "lock_timeout = '7s'",
            "plan_cache_mode = force_generic_plan",
            "enable_seqscan = on",
            "default_transaction_isolation = serializable",
            "DateStyle = 'German, DMY'",
            "TimeZone = 'Asia/Kolkata'",
            "IntervalStyle = sql_standard",
            "array_nulls = off",
            "standard_conforming_strings = off",
            "bytea_output = escape",
            "client_min_messages = error",
            "client_encoding = latin1",
        ]
        if owner.info.server_version >= HAS_TRANSACTION_TIMEOUT:
            settings.append("transaction_timeout = '7s'")
        for setting in settings:
            owner.execute(f'ALTER DATABASE "{owner.info.dbname}" SET {setting}'.encode())
    return database_url


@pytest.fixture
def contrary_url(database_url: str) -> str:
    """Give a database whose own settings are others."""
    return make_contrary(database_url)


@pytest.fixture(params=["straight", pytest.param("pooled", marks=pytest.mark.pgbouncer)])
def either_url(request: pytest.FixtureRequest, contrary_url: str) -> Iterator[str]:
    """Give the way to that database, straight or through a pooler in transaction mode."""
    if request.param == "straight":
        yield contrary_url
        return
    with in_front_of(contrary_url) as pooler:
        yield pooler.url


def test_a_session_has_what_was_asked_for(contrary_url: str) -> None:
    """From its first transaction on, and in every one."""
    with engine(contrary_url) as made, made.connect() as connection:
        for _ in range(2):
            wanted = {
                "statement_timeout": "1500ms",
                "lock_timeout": "250ms",
                "plan_cache_mode": "auto",
                "application_name": "test",
                **PINNED,
            }
            assert show(connection, wanted) == wanted
            connection.rollback()
        assert not is_pooled(connection)


def test_the_services_sessions_give_up_in_time(contrary_url: str) -> None:
    """And find each row of a batch by its id."""
    database = Database(contrary_url)
    with database.engine.connect() as connection:
        wanted = {
            "statement_timeout": "30s",
            "lock_timeout": "10s",
            **BY_ID,
            "application_name": "settle",
            **PINNED,
        }
        assert show(connection, wanted) == wanted
    database.close()


def test_events_are_settled_and_read_whatever_the_database_prefers(
    either_url: str, contrary_url: str
) -> None:
    """Times, texts, and an update for any account mean what they mean."""
    moment = datetime(2026, 3, 4, 5, 6, 7, 500_000, tzinfo=UTC)
    with psycopg.connect(contrary_url, client_encoding="utf8") as owner:
        for id_ in ("ev_ß→1", "ev_2"):
            owner.execute(
                "INSERT INTO events (id, account_id, event_type, payload, created_at) "
                "VALUES (%s, 'NULL', 'order→', '{\"a\": \"→\"}', %s)",
                [id_, moment],
            )
    settlements = [
        Settlement("ev_ß→1", "completed", None, "m→"),
        Settlement("ev_2", "failed", "NULL", "m→"),
        Settlement("ev_2", "failed", "acct", "m→"),
    ]
    with closing(Database(either_url)) as database:
        # More often than it takes for a statement to be prepared.
        for _ in range(7):
            rows = database.settle_pending_events(settlements, with_payload=True)
            assert rows == database.read_events(["ev_2", "ev_ß→1"], with_payload=True)
    assert {row.created_at for row in rows.values()} == {timestamp(moment)}
    assert {row.settled_by for row in rows.values()} == {"m→"}
    assert {row.event_type for row in rows.values()} == {"order→"}
    assert rows["ev_ß→1"].payload == '{"a": "→"}'


def test_times_are_told_in_utc_whatever_zone_a_trigger_has_set(
    database: Database, database_url: str
) -> None:
    """It holds for the rest of the transaction, in which the rows are read."""
    moment = datetime(2026, 3, 4, 5, 6, 7, 500_000, tzinfo=UTC)
    load_events(database_url, [NewEvent("ev_1", "acct")])
    with psycopg.connect(database_url) as owner:
        owner.execute("UPDATE events SET created_at = %s", [moment])
        owner.execute(
            "CREATE FUNCTION at_home() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM set_config('TimeZone', 'Asia/Kolkata', true); RETURN NEW; END $$"
        )
        owner.execute(
            "CREATE TRIGGER at_home BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION at_home()"
        )
    row = database.settle_pending_events([Settlement("ev_1", "completed", None, "m")])["ev_1"]
    assert row.created_at == timestamp(moment)
    assert str(row.completed_at).endswith("Z")


def test_an_update_for_any_account_is_for_no_account_of_a_name(contrary_url: str) -> None:
    """A NULL in an array is one."""
    load_events(contrary_url, [NewEvent("ev_1", "acct_1")])
    with closing(Database(contrary_url)) as database:
        rows = database.settle_pending_events([Settlement("ev_1", "completed", None, "m")])
        assert rows["ev_1"].status == "completed"


def test_a_pinned_setting_is_not_the_urls_to_change(database_url: str) -> None:
    """What else the URL says of libpq's parameters is kept."""
    options = "client_encoding=latin1&options=-c%20DateStyle%3DSQL%20-c%20work_mem%3D7MB"
    with closing(Database(f"{database_url}?{options}")) as database:
        with database.engine.connect() as connection:
            wanted = {**PINNED, "work_mem": "7mb"}
            assert show(connection, wanted) == wanted
        assert database.read_events(["→"]) == {}


def test_what_an_operator_decides_is_left_alone(database_url: str) -> None:
    """Where the table is, how a commit is kept, and that nothing is to be written for now."""
    decided = {
        "search_path": "public, pg_temp",
        "synchronous_commit": "local",
        "default_transaction_read_only": "on",
    }
    with psycopg.connect(database_url, autocommit=True) as owner:
        for name, value in decided.items():
            statement = f'ALTER DATABASE "{owner.info.dbname}" SET {name} = {value}'
            owner.execute(statement.encode())
    with closing(Database(database_url)) as database, database.engine.connect() as connection:
        assert show(connection, decided) == decided


def test_a_batch_may_take_as_long_as_its_statements_may(contrary_url: str) -> None:
    """However long the database would let a transaction take."""
    with closing(Database(contrary_url)) as database, database.engine.connect() as connection:
        version = connection.exec_driver_sql("SHOW server_version_num").scalar_one()
        if int(version) < HAS_TRANSACTION_TIMEOUT:
            pytest.skip("this PostgreSQL has no transaction_timeout")
        wanted = {"transaction_timeout": "0"}
        assert show(connection, wanted) == wanted


def test_a_server_that_is_gone_is_noticed_while_its_answer_is_waited_for(
    database_url: str,
) -> None:
    """The kernel asks for it: a host that was cut off sends nothing, not even an end."""
    with engine(database_url) as made, made.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with socket.socket(fileno=os.dup(driver.fileno())) as asking:
            assert asking.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            seconds = [
                asking.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
            ]
    assert sum(seconds) < ENOUGH_SECONDS


def test_what_is_not_committed_is_undone(database_url: str) -> None:
    """Setting a session up leaves it as transactional as it was."""
    with engine(database_url) as made:
        with made.connect() as connection:
            connection.exec_driver_sql("CREATE TABLE left_over ()")
        with made.connect() as connection:
            found = connection.exec_driver_sql("SELECT to_regclass('left_over')").scalar_one()
    assert found is None


def test_an_error_does_not_quote_the_values(database_url: str) -> None:
    """They are upstream's data."""
    statement = sqlalchemy.text("SELECT CAST(:value AS text), 1 / 0")
    with engine(database_url) as made, made.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            connection.execute(statement, {"value": "hush"})
        assert "hush" not in str(caught.value)


def test_a_process_has_no_more_sessions_than_it_was_given(database_url: str) -> None:
    """Whoever comes beyond that waits, and gives up in time."""
    database = Database(database_url, pool_size=1)
    pool: Any = database.engine.pool
    pool._timeout = 0.05
    with database.engine.connect(), pytest.raises(TransientDatabaseError, match="limit"):
        database.read_events(["ev_1"])
    assert database.read_events(["ev_1"]) == {}
    database.close()
