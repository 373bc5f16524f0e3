"""A database that cannot be used, or lets nobody in: it is said, and how to mend it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pytest
from sqlalchemy import make_url

from db.revisions import newest_revision
from tests.accounts import postgres_role
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.rig import Rig
    from tests.gateway import Gateways


class Case(NamedTuple):
    """What is wrong, how it is mended, and what is said; in SQL, `{role}` is the worker's."""

    broken: str
    mended: str
    found: str
    fix: str


pytestmark = pytest.mark.storms
MIGRATE = "settle migrate, as the owner of the table"
CASES = {
    "wrong password": Case(
        "ALTER ROLE {role} PASSWORD 'another'",
        "ALTER ROLE {role} PASSWORD '{password}'",
        "password authentication failed",
        "start it, or correct DATABASE_URL",
    ),
    "no table": Case(
        "ALTER TABLE events RENAME TO hidden",
        "ALTER TABLE hidden RENAME TO events",
        "there is no events table in the search path",
        MIGRATE,
    ),
    "old migration": Case(
        "UPDATE alembic_version SET version_num = '0000'",
        f"UPDATE alembic_version SET version_num = '{newest_revision()}'",
        f"at 0000, this version of Settle expects {newest_revision()}",
        MIGRATE,
    ),
    "a missing privilege": Case(
        "REVOKE UPDATE ON events FROM {role}",
        "GRANT UPDATE (completed_at, failed_at, settled_by) ON events TO {role}",
        "lacks UPDATE (completed_at), UPDATE (failed_at), UPDATE (settled_by)",
        "the grants in docs/privileges.md#postgresql",
    ),
    "read-only": Case(
        "ALTER ROLE {role} SET default_transaction_read_only = on",
        "ALTER ROLE {role} RESET default_transaction_read_only",
        "transactions are read-only by default",
        "default_transaction_read_only = off, for the server, the database and the role",
    ),
}


@contextmanager
def asking_for_passwords(rig: Rig, role: str) -> Iterator[None]:
    """Let the server believe no role of this name without its password."""
    rules = rig.postgres._data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n{before}")
    with psycopg.connect(rig.postgres.url, autocommit=True) as owner:
        owner.execute("SELECT pg_reload_conf()")
        yield
        rules.write_text(before)
        owner.execute("SELECT pg_reload_conf()")


class Database:
    """The rig's database, which a case breaks and mends, for the documented role."""

    def __init__(self, rig: Rig, url: str) -> None:
        self._owner_url, self.url = rig.postgres.url, url

    def run(self, statement: str) -> None:
        """Change it, as its owner."""
        role = make_url(self.url)
        with psycopg.connect(self._owner_url, autocommit=True) as owner:
            owner.execute(statement.format(role=role.username, password=role.password).encode())


@pytest.fixture
def database(unloaded_rig: Rig) -> Iterator[Database]:
    """Give a database with one pending event."""
    unloaded_rig.service.load("ev_1")
    with postgres_role("settle_worker", unloaded_rig.postgres.url) as url:
        role = make_url(url).username
        assert role
        with asking_for_passwords(unloaded_rig, role):
            yield Database(unloaded_rig, url)


def asked(rig: Rig, health_file: str) -> tuple[int, str]:
    """Ask `settle health ready`."""
    environment = {**os.environ, **rig.service.environment, "SETTLE_HEALTH_FILE": health_file}
    command = [sys.executable, "-m", "cli", "health", "ready"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_worker_says_what_is_wrong_and_how_to_mend_it(
    unloaded_rig: Rig, database: Database, case: Case
) -> None:
    """At its start, in one line, and to whoever asks; once it is mended it settles by itself."""
    rig = unloaded_rig
    health_file = str(rig.service.folder / "health.json")
    database.run(case.broken)
    try:
        worker = rig.start_worker(DATABASE_URL=database.url, SETTLE_HEALTH_FILE=health_file)
        worker.wait_for_log('"database cannot be used"')
        eventually(
            lambda: case.found in asked(rig, health_file)[1], lambda: asked(rig, health_file)
        )
        code, words = asked(rig, health_file)
        assert code == 1
        assert words.startswith("not ready: the database ")
        assert words.endswith(f"; {case.fix}\n")
        sent = rig.service.send(kwargs={"id": "ev_1", "status": "completed"})
    finally:
        database.run(case.mended)
    assert rig.service.wait({sent.id: ["ev_1"]})[sent.id][-1].updated
    worker.wait_for_log('"database can be used again"')
    eventually(lambda: asked(rig, health_file)[0] == 0, lambda: asked(rig, health_file))
    lines = worker.log.read_text().splitlines()
    (line,) = [line for line in lines if '"database cannot be used"' in line]
    assert case.found in line
    assert case.fix in line


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_gateway_says_how_to_mend_it(gateways: Gateways, database: Database, case: Case) -> None:
    """In its log at the start, with what is wrong, and without that to whoever asks."""
    database.run(case.broken)
    try:
        gateway = gateways.start(DATABASE_URL=database.url)
        gateway.wait_for_log('"not healthy"')
        answer = gateway.ask("GET", "/healthz")
        assert answer.status == 503
        assert answer.json["message"].endswith(f": {case.fix}")
        assert case.found not in answer.json["message"]
    finally:
        database.run(case.mended)
    eventually(lambda: gateway.ask("GET", "/healthz").status == 200)
    (outcome,) = gateway.patch([{"id": "ev_1", "status": "completed"}]).json
    assert outcome["updated"]
    lines = gateway.log.read_text().splitlines()
    (line,) = [line for line in lines if '"not healthy"' in line]
    assert case.found in line
    assert case.fix in line
    assert any('"healthy again"' in line for line in lines)
