"""What `settle doctor` says of real databases, good and bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from cli.doctor.examination import examine
from cli.doctor.parts import database_part
from service.finding import Finding, Verdict
from service.settings import Settings
from tests.accounts import CannotCreateUsersError, postgres_role
from tests.tables import PARTITIONED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Urls

# The tests' own server may be faster than it is safe.
OF_THE_SERVER = ("durability",)


@pytest.fixture
def role_url(database_url: str) -> Iterator[str]:
    """Give the documented worker's way to a migrated database."""
    try:
        with postgres_role("settle_worker", database_url) as url:
            yield url
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


def look(url: str, sessions: int = 2) -> dict[str, Finding]:
    """Examine a database, by check, apart from what only its server can help."""
    settings = Settings.model_construct(**{**Settings().model_dump(), "database_url": url})
    findings = {
        result.check: result.finding for result in examine(database_part(settings, sessions))
    }
    return {check: finding for check, finding in findings.items() if check not in OF_THE_SERVER}


def change(url: str, *statements: str) -> None:
    """Change a database, as its owner."""
    with psycopg.connect(url, autocommit=True) as owner:
        for statement in statements:
            owner.execute(statement.encode())


def test_a_good_database_is_found_good(role_url: str) -> None:
    """In every check, by the documented role."""
    assert {finding.verdict for finding in look(role_url).values()} == {Verdict.OK}


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE events DROP CONSTRAINT events_settled_once", "ALTER TABLE events RENAME TO seen"],
    ids=["another table", "no table"],
)
def test_a_newer_database_is_not_to_be_migrated(
    role_url: str, database_url: str, statement: str
) -> None:
    """Whatever of it this version does not know: that it would take the newer one for."""
    change(database_url, "UPDATE alembic_version SET version_num = '9999'", statement)
    findings = look(role_url)
    assert findings["table"].verdict is Verdict.FAILURE
    for check in ("table", "migration"):
        assert "newer version of Settle" in findings[check].fix
    assert not [finding for finding in findings.values() if "settle migrate" in finding.fix]


@pytest.mark.parametrize(
    ("check", "statement", "verdict", "words"),
    [
        pytest.param(
            "migration",
            "UPDATE alembic_version SET version_num = '0000'",
            *(Verdict.FAILURE, "at 0000"),
            id="older-schema",
        ),
        pytest.param(
            "migration",
            "UPDATE alembic_version SET version_num = '9999'",
            *(Verdict.WARNING, "at 9999"),
            id="newer-schema",
        ),
        pytest.param(
            "migration",
            "REVOKE SELECT ON alembic_version FROM {role}",
            *(Verdict.UNKNOWN, "may not read"),
            id="hidden-schema",
        ),
        pytest.param(
            "table",
            "ALTER TABLE events DROP CONSTRAINT events_settled_once",
            *(Verdict.FAILURE, "constraint events_settled_once is missing"),
            id="no-check",
        ),
        pytest.param(
            "table",
            "ALTER TABLE events ALTER settled_by TYPE varchar(9)",
            *(Verdict.FAILURE, "column settled_by should be text"),
            id="other-type",
        ),
        pytest.param(
            "table",
            "ALTER TABLE events SET UNLOGGED",
            *(Verdict.FAILURE, "a crash empties it"),
            id="unlogged",
        ),
        pytest.param(
            "hot updates",
            "CREATE INDEX pending ON events (created_at) WHERE failed_at IS NULL",
            *(Verdict.WARNING, "pending"),
            id="index-predicate",
        ),
        pytest.param(
            "hot updates",
            "ALTER TABLE events RESET (fillfactor)",
            *(Verdict.WARNING, "fillfactor 100"),
            id="fillfactor",
        ),
        pytest.param(
            "lists",
            "DROP TRIGGER events_pending_update ON events",
            *(Verdict.WARNING, "no trigger events_pending_update is in force"),
            id="no-trigger",
        ),
        pytest.param(
            "lists",
            "ALTER TABLE events DISABLE TRIGGER events_pending_insert",
            *(Verdict.WARNING, "no trigger events_pending_insert is in force"),
            id="disabled-trigger",
        ),
        pytest.param(
            "privileges",
            "REVOKE UPDATE (settled_by) ON events FROM {role}",
            *(Verdict.FAILURE, "lacks UPDATE (settled_by)"),
            id="too-little",
        ),
        pytest.param(
            "privileges",
            "GRANT DELETE, UPDATE (account_id) ON events TO {role}",
            *(Verdict.WARNING, "UPDATE (account_id), DELETE"),
            id="too-much",
        ),
        pytest.param(
            "privileges",
            "ALTER TABLE events ENABLE ROW LEVEL SECURITY",
            *(Verdict.WARNING, "row-level security"),
            id="row-level-security",
        ),
        pytest.param(
            "server",
            "ALTER ROLE {role} SET default_transaction_read_only = on",
            *(Verdict.FAILURE, "read-only"),
            id="read-only",
        ),
        pytest.param(
            "sessions",
            "ALTER ROLE {role} CONNECTION LIMIT 1",
            *(Verdict.FAILURE, "up to 2, the server has 1"),
            id="too-few-sessions",
        ),
    ],
)
def test_what_is_wrong_is_found_and_has_a_fix(
    database_url: str, role_url: str, check: str, statement: str, verdict: Verdict, words: str
) -> None:
    """And nothing else is held against the database."""
    role = role_url.partition("//")[2].partition(":")[0]
    change(database_url, statement.format(role=role))
    findings = look(role_url)
    assert words in findings[check].found
    assert findings[check].verdict is verdict
    assert findings.pop(check).fix
    assert {finding.verdict for finding in findings.values()} == {Verdict.OK}


@pytest.fixture
def worker_url(database_url: str) -> Iterator[str]:
    """Give the documented worker's way to a database."""
    try:
        with postgres_role("settle_worker", database_url) as url:
            yield url
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("table", [PARTITIONED])
def test_a_partitioned_table_is_found_good(worker_url: str) -> None:
    """In every check, as a plain one is."""
    assert {finding.verdict for finding in look(worker_url).values()} == {Verdict.OK}


@pytest.mark.parametrize("table", [PARTITIONED])
@pytest.mark.parametrize(
    ("check", "statement", "words"),
    [
        ("table", "ALTER TABLE events_p3 SET UNLOGGED", "a crash empties it"),
        ("hot updates", "ALTER TABLE events_p3 RESET (fillfactor)", "fillfactor 100"),
        ("hot updates", "CREATE INDEX pending ON events (failed_at)", "too: pending"),
        ("hot updates", "CREATE INDEX pending ON events_p3 (failed_at)", "too: pending"),
    ],
    ids=["unlogged", "fillfactor", "index", "index-of-one"],
)
def test_what_is_wrong_with_one_partition_is_found(
    database_url: str, worker_url: str, check: str, statement: str, words: str
) -> None:
    """What the table itself cannot show; and nothing else is held against the database."""
    change(database_url, statement)
    findings = look(worker_url)
    assert words in findings[check].found
    assert findings.pop(check).fix.endswith(("each of its partitions", "(docs/adr/0003)"))
    assert {finding.verdict for finding in findings.values()} == {Verdict.OK}


def test_a_superuser_is_more_than_is_needed(database_url: str) -> None:
    """It works, and is warned of."""
    with psycopg.connect(database_url) as connection:
        if connection.execute("SHOW is_superuser").fetchone() != ("on",):
            pytest.skip("the configured role is none")
    finding = look(database_url)["privileges"]
    assert (finding.verdict, "superuser" in finding.found) == (Verdict.WARNING, True)


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit"])
def test_a_database_that_forgets_is_found_out(database_url: str, setting: str) -> None:
    """Outcomes are published on the strength of a commit."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        if setting == "fsync" and connection.execute("SHOW fsync").fetchone() != ("off",):
            pytest.skip("the configured server keeps what it is given")
        name = connection.info.dbname
        if setting != "fsync":
            connection.execute(f'ALTER DATABASE "{name}" SET {setting} = off'.encode())
    settings = Settings.model_construct(**{**Settings().model_dump(), "database_url": database_url})
    findings = {result.check: result.finding for result in examine(database_part(settings, 1))}
    assert findings["durability"].verdict is Verdict.FAILURE
    assert " is off" in findings["durability"].found


def test_a_database_that_was_never_migrated_is_a_failure(urls: Urls) -> None:
    """With the command that does it; what needs the table says that it was not checked."""
    change(urls.database, "CREATE DATABASE settle_bare")
    findings = look(f"{urls.database.rpartition('/')[0]}/settle_bare")
    change(urls.database, "DROP DATABASE settle_bare WITH (FORCE)")
    assert {check: finding.verdict for check, finding in findings.items()} == {
        "server": Verdict.OK,
        "standby": Verdict.OK,
        "commits": Verdict.OK,
        "migration": Verdict.FAILURE,
        "table": Verdict.FAILURE,
        "hot updates": Verdict.UNKNOWN,
        "lists": Verdict.UNKNOWN,
        "privileges": Verdict.UNKNOWN,
        "sessions": Verdict.OK,
        "clock": Verdict.OK,
    }
    assert findings["migration"].fix.startswith("settle migrate")


@pytest.mark.parametrize(
    "statement",
    ["REVOKE USAGE ON SCHEMA public FROM PUBLIC", "ALTER ROLE {role} SET search_path = elsewhere"],
    ids=["no right", "another path"],
)
def test_a_table_that_the_role_does_not_find_is_found(
    database_url: str, role_url: str, statement: str
) -> None:
    """Migrating again would not help."""
    role = role_url.partition("//")[2].partition(":")[0]
    change(database_url, statement.format(role=role))
    finding = look(role_url)["table"]
    assert finding.verdict is Verdict.FAILURE
    assert finding.found.endswith("it is in public")
    assert "search_path" in finding.fix


def test_a_database_that_cannot_hold_every_id_is_warned_of(urls: Urls) -> None:
    """An id that it cannot hold is answered invalid, though nothing is wrong with it."""
    change(
        urls.database,
        "CREATE DATABASE settle_latin ENCODING 'LATIN1' TEMPLATE template0 "
        "LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    finding = look(f"{urls.database.rpartition('/')[0]}/settle_latin")["server"]
    change(urls.database, "DROP DATABASE settle_latin WITH (FORCE)")
    assert finding.verdict is Verdict.WARNING
    assert "LATIN1" in finding.found


def test_a_database_that_is_away_fails_and_keeps_its_password() -> None:
    """The first check says so, the others that they were not made."""
    first, *others = look("postgresql://u:hush@127.0.0.1:1/x").values()
    assert first.verdict is Verdict.FAILURE
    assert "hush" not in first.found
    assert {finding.verdict for finding in others} == {Verdict.UNKNOWN}
