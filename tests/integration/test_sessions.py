"""What a session is like, however the database is set up."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.exc import DBAPIError

from db import Database, TransientDatabaseError
from db.engine import is_pooled, make_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = (
    *("statement_timeout", "lock_timeout", "plan_cache_mode"),
    *("transaction_isolation", "application_name"),
)


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


def show(connection: sqlalchemy.Connection) -> dict[str, str]:
    """Return the settings of a session."""
    return {
        name: connection.exec_driver_sql(f"SHOW {name}").scalar_one().lower() for name in SETTINGS
    }


@pytest.fixture
def contrary_url(database_url: str) -> str:
    """Give a database whose own settings are others."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        for setting in (
            "statement_timeout = '7s'",
            "lock_timeout = '7s'",
            "plan_cache_mode = force_custom_plan",
            "default_transaction_isolation = serializable",
        ):
            owner.execute(f'ALTER DATABASE "{owner.info.dbname}" SET {setting}'.encode())
    return database_url


def test_a_session_has_what_was_asked_for(contrary_url: str) -> None:
    """From its first transaction on, and in every one."""
    with engine(contrary_url) as made, made.connect() as connection:
        for _ in range(2):
            assert show(connection) == {
                "statement_timeout": "1500ms",
                "lock_timeout": "250ms",
                "plan_cache_mode": "auto",
                "transaction_isolation": "read committed",
                "application_name": "test",
            }
            connection.rollback()
        assert not is_pooled(connection)


def test_the_services_sessions_give_up_in_time(contrary_url: str) -> None:
    """And plan a statement once for any batch."""
    database = Database(contrary_url)
    with database.engine.connect() as connection:
        assert show(connection) == {
            "statement_timeout": "30s",
            "lock_timeout": "10s",
            "plan_cache_mode": "force_generic_plan",
            "transaction_isolation": "read committed",
            "application_name": "settle",
        }
    database.close()


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
