"""Sessions that are of no use any more, though they are open: after a failover, or a change."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from cli.embedded import free_port
from db import Database, DatabaseError, Settlement, TransientDatabaseError
from db.loading import NewEvent, load_events
from tests.standby import Pair, pair

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOTS = 3


@pytest.fixture
def servers() -> Iterator[Pair]:
    """Give a primary and a standby."""
    with pair() as servers:
        yield servers


def settle(database: Database, id_: str) -> str | None:
    """Settle an event and return who has."""
    row = database.settle_pending_events([Settlement(id_, "completed", None, "m")]).get(id_)
    return row and row.settled_by


def fill(database: Database) -> None:
    """Open as many sessions as a worker with several slots has."""
    connections = [database.engine.connect() for _ in range(SLOTS)]
    for connection in connections:
        connection.close()


def test_settling_goes_on_with_the_standby_that_took_over(servers: Pair) -> None:
    """One try fails for all sessions together, and the next finds the new primary."""
    load_events(servers.primary.url, [NewEvent("ev_1", "a"), NewEvent("ev_2", "a")])
    with closing(Database(servers.url)) as database:
        fill(database)
        assert settle(database, "ev_1") == "m"
        servers.switch()
        with pytest.raises(TransientDatabaseError, match="25006") as caught:
            settle(database, "ev_2")
        assert caught.value.connection_was_lost
        for _ in range(SLOTS):
            assert settle(database, "ev_2") == "m"


def test_an_event_is_never_read_from_a_server_that_was_replaced(servers: Pair) -> None:
    """What it says is of the past: it is as good as away."""
    load_events(servers.primary.url, [NewEvent("ev_1", "a")])
    with closing(Database(servers.url)) as database:
        fill(database)
        servers.switch()
        with closing(Database(servers.standby.url)) as elsewhere:
            assert settle(elsewhere, "ev_1") == "m"
        with pytest.raises(TransientDatabaseError, match="25006"):
            database.read_events(["ev_1"])
        for _ in range(SLOTS):
            assert database.read_events(["ev_1"])["ev_1"].settled_by == "m"


def test_a_standby_is_no_database_to_settle_in(servers: Pair) -> None:
    """It is found out before there is anything to settle, and is used once it is promoted."""
    load_events(servers.primary.url, [NewEvent("ev_1", "a")])
    with closing(Database(servers.standby.url)) as database:
        for question in (database.check, lambda: database.read_events(["ev_1"])):
            with pytest.raises(TransientDatabaseError, match="25006"):
                question()
        servers.standby.promote()
        database.check()
        assert settle(database, "ev_1") == "m"


def test_a_table_that_has_changed_is_settled_in(database: Database, database_url: str) -> None:
    """Statements are prepared, and what they return is fixed then."""
    ids = [f"ev_{number}" for number in range(12)]
    load_events(database_url, [NewEvent(id_, "a") for id_ in ids])
    for id_ in ids[:10]:
        assert settle(database, id_) == "m"
    with psycopg.connect(database_url) as owner:
        owner.execute("ALTER TABLE events ALTER event_type TYPE varchar(99)")
    with pytest.raises(TransientDatabaseError, match="cached plan") as caught:
        settle(database, ids[10])
    assert caught.value.connection_was_lost
    assert settle(database, ids[10]) == "m"
    assert settle(database, ids[11]) == "m"


def test_statements_that_somebody_has_dropped_are_prepared_again(
    database: Database, database_url: str
) -> None:
    """As a proxy does that resets the sessions it lends."""
    load_events(database_url, [NewEvent("ev_1", "a")])
    for _ in range(10):
        settle(database, "ev_1")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    with pytest.raises(TransientDatabaseError, match="26000"):
        settle(database, "ev_1")
    assert settle(database, "ev_1") == "m"


def test_a_search_path_that_is_corrected_is_found(database_url: str) -> None:
    """It is that of new sessions only."""
    load_events(database_url, [NewEvent("ev_1", "a")])
    with psycopg.connect(database_url, autocommit=True) as owner:
        alter = f'ALTER DATABASE "{owner.info.dbname}" SET search_path TO '.encode()
        owner.execute(alter + b"elsewhere")
        with closing(Database(database_url)) as database:
            with pytest.raises(DatabaseError, match="42P01") as caught:
                settle(database, "ev_1")
            assert type(caught.value) is DatabaseError
            owner.execute(alter + b"public")
            assert settle(database, "ev_1") == "m"


def test_a_value_that_is_refused_costs_no_session(database: Database, database_url: str) -> None:
    """Nor does a row that somebody has locked: halving would open one for each."""
    load_events(database_url, [NewEvent("ev_1", "a")])
    with psycopg.connect(database_url) as owner:
        owner.execute("ALTER TABLE events ADD CHECK (settled_by <> 'no')")

    def session() -> int:
        with database.engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())

    before = session()
    with pytest.raises(DatabaseError, match="23514"):
        database.settle_pending_events([Settlement("ev_1", "completed", None, "no")])
    assert session() == before


def test_a_server_that_is_not_there_is_transient() -> None:
    """With several hosts too."""
    ports = ",".join(f"127.0.0.1:{free_port()}" for _ in range(2))
    with (
        closing(Database(f"postgresql://u@{ports}/x?target_session_attrs=read-write")) as database,
        pytest.raises(TransientDatabaseError),
    ):
        settle(database, "ev_1")
