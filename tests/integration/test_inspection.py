"""Facts about a real database, as they are found out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from db import TransientDatabaseError
from db.inspection import inspect_database
from tests.accounts import CannotCreateUsersError, postgres_role

if TYPE_CHECKING:
    from db.facts import PrivilegeFacts


def change(url: str, *statements: str) -> None:
    """Change a database, as its owner."""
    with psycopg.connect(url, autocommit=True) as owner:
        for statement in statements:
            owner.execute(statement.encode())


def differences(url: str) -> tuple[str, ...]:
    """Return how the table differs from the model."""
    with inspect_database(url) as inspection:
        return inspection.table().differences


def privileges(url: str, role: str, *statements: str) -> PrivilegeFacts:
    """Return what a documented role may do, after somebody changed it."""
    try:
        with postgres_role(role, url) as role_url:
            name = role_url.partition("//")[2].partition(":")[0]
            change(url, *(statement.format(role=name) for statement in statements))
            with inspect_database(role_url) as inspection:
                facts = inspection.privileges()
    except CannotCreateUsersError as error:
        pytest.skip(str(error))
    assert facts.role == name
    return facts


@pytest.mark.parametrize("setting", ["on", "off"])
def test_a_server_is_described_as_it_says(database_url: str, setting: str) -> None:
    """By its version, and by what it does with a commit."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        name = owner.info.dbname
        owner.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = {setting}'.encode())
        owner.execute(
            f'ALTER DATABASE "{name}" SET default_transaction_read_only = {setting}'.encode()
        )
        number, fsync = owner.info.server_version, owner.execute("SHOW fsync").fetchone()
    with inspect_database(database_url) as inspection:
        server = inspection.server()
    assert server.version.partition(".")[0] == str(server.major_version)
    assert server.major_version == number // 10_000
    assert (server.fsync, server.synchronous_commit) == (fsync == ("on",), setting)
    assert server.read_only == (setting == "on")
    assert (server.in_recovery, server.pooled) == (False, False)


def test_a_table_that_is_not_there_has_no_facts(database_url: str) -> None:
    """None is made up."""
    change(database_url, "DROP TABLE events")
    with inspect_database(database_url) as inspection:
        table = inspection.table()
    assert table.exists is False
    assert (table.differences, table.fillfactor) == ((), None)


def test_the_table_that_is_migrated_is_that_of_the_model(database_url: str) -> None:
    """It differs in nothing."""
    assert differences(database_url) == ()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        pytest.param(
            "ALTER TABLE events ALTER account_id DROP NOT NULL",
            "column account_id should be text NOT NULL",
            id="nullable",
        ),
        pytest.param(
            "ALTER TABLE events ALTER settled_by TYPE varchar(9)",
            "column settled_by should be text",
            id="type",
        ),
        pytest.param(
            "ALTER TABLE events DROP settled_by", "column settled_by is missing", id="column"
        ),
        pytest.param(
            "ALTER TABLE events DROP CONSTRAINT events_settled_once",
            "constraint events_settled_once is missing",
            id="constraint",
        ),
        pytest.param(
            "ALTER TABLE events DROP CONSTRAINT events_settled_once, ADD CONSTRAINT "
            "events_settled_once CHECK (completed_at IS NULL OR failed_at IS NULL) NOT VALID",
            "constraint events_settled_once is not validated",
            id="not validated",
        ),
    ],
)
def test_a_difference_from_the_model_is_put_into_words(
    database_url: str, statement: str, words: str
) -> None:
    """Each in one phrase, and no other."""
    change(database_url, statement)
    assert differences(database_url) == (words,)


def test_the_documented_worker_may_do_what_it_must_and_no_more(database_url: str) -> None:
    """It lacks nothing, and sees every row."""
    facts = privileges(database_url, "settle_worker")
    assert (facts.missing, facts.excess, facts.rows_are_filtered) == ((), (), False)


def test_every_privilege_that_is_missing_is_named(database_url: str) -> None:
    """Of reading and of writing."""
    statement = "REVOKE SELECT, UPDATE (failed_at, settled_by) ON events FROM {role}"
    facts = privileges(database_url, "settle_worker", statement)
    assert facts.missing[0] == "SELECT (id)"
    assert facts.missing[-2:] == ("UPDATE (failed_at)", "UPDATE (settled_by)")


def test_owning_the_table_is_more_than_is_needed(database_url: str) -> None:
    """Said in one phrase, for an owner may do everything."""
    facts = privileges(database_url, "settle_owner", 'ALTER TABLE events OWNER TO "{role}"')
    assert facts.excess == ("owns the table",)


def test_a_superuser_is_distinguished_from_an_owner(database_url: str) -> None:
    """Being the one says more than being the other."""
    with inspect_database(database_url) as inspection:
        facts = inspection.privileges()
    with psycopg.connect(database_url) as connection:
        (superuser,) = connection.execute("SHOW is_superuser").fetchone() or ("",)
    assert facts.excess == (("is a superuser",) if superuser == "on" else ("owns the table",))


def test_a_database_that_goes_away_meanwhile_says_so(database_url: str) -> None:
    """In the words of this package, as when it cannot be reached at all."""
    with inspect_database(database_url) as inspection:
        change(
            database_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'settle doctor' AND datname = current_database()",
        )
        with pytest.raises(TransientDatabaseError, match="terminat"):
            inspection.server()
    with (
        pytest.raises(TransientDatabaseError, match="refused"),
        inspect_database("postgresql://127.0.0.1:1/settle"),
    ):
        pass
