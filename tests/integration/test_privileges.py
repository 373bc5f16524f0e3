"""The roles of docs/privileges.md: what each can do, and that it can do nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest

from db import Database, Settlement
from db.loading import NewEvent, load_events
from db.migrate import migrate
from tests.accounts import PAGE, CannotCreateUsersError, postgres_role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Urls


@pytest.fixture
def role_url(request: pytest.FixtureRequest, database_url: str) -> Iterator[str]:
    """Make the documented role that the test is about and return how it connects."""
    try:
        with postgres_role(request.param, database_url) as url:
            yield url
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("role_url", ["settle_worker"], indirect=True)
def test_the_worker_settles_and_can_do_nothing_else(role_url: str, database_url: str) -> None:
    """It neither inserts nor deletes, nor changes what an event is about."""
    load_events(database_url, [NewEvent("ev_1", "acct_1")])
    database = Database(role_url)
    rows = database.settle_pending_events(
        [Settlement("ev_1", "completed", None, "m")], with_payload=True
    )
    database.close()
    assert rows["ev_1"].status == "completed"
    for statement in (
        "DELETE FROM events",
        "TRUNCATE events",
        "UPDATE events SET account_id = 'other'",
        "INSERT INTO events (id) VALUES ('x')",
        "UPDATE alembic_version SET version_num = ''",
        "CREATE TABLE mine ()",
    ):
        assert_denied(role_url, statement)


def test_an_event_is_inserted_as_the_page_says(database: Database) -> None:
    """And is pending."""
    page = PAGE.with_name("postgresql.md").read_text("utf-8")
    (insert,) = re.findall(r"```sql\n(INSERT INTO events .*?)```", page, re.DOTALL)
    with database.engine.begin() as owner:
        owner.exec_driver_sql(insert)
    assert database.read_events(["ev_1"])["ev_1"].status is None


@pytest.mark.parametrize("role_url", ["settle_reader"], indirect=True)
def test_the_reader_reads(role_url: str) -> None:
    """And changes nothing."""
    with psycopg.connect(role_url) as reader:
        assert reader.execute("SELECT * FROM events").fetchall() == []
    assert_denied(role_url, "UPDATE events SET settled_by = 'me'")
    assert_denied(role_url, "SELECT FROM events FOR UPDATE")


@pytest.fixture
def unmigrated_url(urls: Urls) -> Iterator[str]:
    """Give a database of this test's that was never migrated."""
    with psycopg.connect(urls.database, autocommit=True) as connection:
        connection.execute("CREATE DATABASE settle_owned")
        yield f"{urls.database.rpartition('/')[0]}/settle_owned"
        connection.execute("DROP DATABASE settle_owned WITH (FORCE)")


def test_the_owner_migrates(unmigrated_url: str) -> None:
    """Twice, to no effect; and may do nothing elsewhere."""
    try:
        with postgres_role("settle_owner", unmigrated_url) as owner_url:
            migrate(owner_url)
            migrate(owner_url)
            assert_denied(owner_url, "CREATE ROLE somebody")
            assert_denied(owner_url, "CREATE DATABASE another")
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


def assert_denied(url: str, statement: str) -> None:
    """See that a statement is refused."""
    with (
        psycopg.connect(url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())
