"""A table moved into hash partitions by the SQL of docs/scaling.md, while it is in use.

That the guarded update gives the same answers there is in `test_guarded_update.py` and
`test_model.py`, which run on both kinds of table; what the doctor says of it is in
`test_doctor_database.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from bench.large_table import run
from bench.partitions import documented, move_into_partitions, take
from cli.embedded import ServerUnavailable
from db import Database, EventRow, Settlement
from db.loading import NewEvent, load_events
from db.migrate import migrate
from db.models import FILLFACTOR_PERCENT
from tests.accounts import CannotCreateUsersError, postgres_role
from tests.started import or_skipped

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 50


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection]:
    """Give the owner of a migrated database, whose every statement is committed."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        yield owner


def settle(database: Database, ids: list[str], message_id: str) -> dict[str, EventRow]:
    """Complete events."""
    return database.settle_pending_events(
        [Settlement(id_, "completed", None, message_id) for id_ in ids]
    )


def test_events_are_settled_while_the_table_is_moved(
    database_url: str, database: Database, owner: psycopg.Connection
) -> None:
    """A worker waits for the switch and goes on; no answer and no event is lost or changed."""
    ids = [f"ev_{number:04}" for number in range(4_000)]
    load_events(database_url, [NewEvent(id_, "acct_1", payload={"id": id_}) for id_ in ids])
    settled = settle(database, ids[:BATCH], "m-0")
    moved = threading.Event()

    def work() -> None:
        for start in range(BATCH, 3_000, BATCH):
            settled.update(settle(database, ids[start : start + BATCH], f"m-{start}"))
        moved.wait()
        settled.update(settle(database, ids[3_000:], "m-last"))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        take("create", owner)
        take("copy", owner)
        load_events(database_url, [NewEvent("late", "acct_1")])
        take("switch", owner)
    finally:
        moved.set()
        worker.join()
    assert owner.execute("SELECT relkind FROM pg_class WHERE relname = 'events'").fetchone() == (
        "p",
    )
    assert database.read_events([*ids, "late"]) == settled | database.read_events(["late"])
    assert {row.status for row in settled.values()} == {"completed"}
    assert len(settled) == len(ids)
    assert owner.execute("SELECT count(*) FROM events").fetchone() == (len(ids) + 1,)


def test_the_partitions_are_like_the_table(owner: psycopg.Connection) -> None:
    """Each with its fill factor and its CHECK, and the primary key of the same name."""
    columns = (
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
        "WHERE table_name = 'events' ORDER BY ordinal_position"
    )
    plain = owner.execute(columns).fetchall()
    move_into_partitions(owner)
    assert owner.execute(columns).fetchall() == plain
    partitions = owner.execute(
        "SELECT c.oid, reloptions FROM pg_partition_tree('events') JOIN pg_class c ON c.oid = relid"
        " WHERE isleaf"
    ).fetchall()
    assert len(partitions) == 16
    for oid, options in partitions:
        assert options == [f"fillfactor={FILLFACTOR_PERCENT}"]
        checks = owner.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = %s AND contype = 'c'", (oid,)
        )
        assert checks.fetchall() == [("events_settled_once",)]


@pytest.mark.parametrize("partitioned", [False, True], ids=["plain", "partitioned"])
def test_autovacuum_is_set_for_every_part(owner: psycopg.Connection, partitioned: bool) -> None:
    """By the same statement for both kinds of table; the fill factor stays."""
    if partitioned:
        move_into_partitions(owner)
    take("vacuum", owner)
    found = owner.execute(
        "SELECT reloptions FROM pg_class WHERE relname ~ '^events(_p[0-9]+)?$' AND relkind = 'r'"
    ).fetchall()
    assert len(found) == (16 if partitioned else 1)
    for (options,) in found:
        assert f"fillfactor={FILLFACTOR_PERCENT}" in options
        assert "autovacuum_vacuum_scale_factor=0.02" in options


def test_migrating_and_comparing_take_no_offence(
    database_url: str, owner: psycopg.Connection
) -> None:
    """A partition is no table that the model does not know, nor is one of somebody else's."""
    move_into_partitions(owner)
    owner.execute("CREATE TABLE of_others (id int)")
    migrate(database_url)
    assert alembic_check(database_url) == 0
    owner.execute("ALTER TABLE events DROP COLUMN settled_by")
    assert alembic_check(database_url) != 0


def alembic_check(database_url: str) -> int:
    """Compare a database with the model as a developer does, and return the exit code."""
    return subprocess.run(
        [sys.executable, "-m", "alembic", "check"],
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True,
        check=False,
    ).returncode


def test_the_documented_role_settles_there(database_url: str, owner: psycopg.Connection) -> None:
    """With the grants of the page, made before the switch; partitions need none."""
    load_events(database_url, [NewEvent("ev_1", "acct_1")])
    try:
        with postgres_role("settle_worker", database_url) as url:
            role = url.partition("//")[2].partition(":")[0]
            take("create", owner)
            grants = re.sub(r"settle_(worker|reader|gateway)", f'"{role}"', documented("grant"))
            owner.execute(grants.encode())
            take("copy", owner)
            take("switch", owner)
            with closing(Database(url)) as database:
                assert settle(database, ["ev_1"], "m")["ev_1"].settled_by == "m"
            with (
                psycopg.connect(url) as worker,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                worker.execute("DELETE FROM events")
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


def test_the_benchmark_of_a_large_table_in_small() -> None:
    """On both kinds updates are HOT, and what they leave is vacuumed without the index."""
    with or_skipped(ServerUnavailable):
        plain, partitioned = run(rows=100_000, settled=20_000)
    assert (plain.table, partitioned.table) == ("plain", "partitioned")
    for figures in (plain, partitioned):
        assert figures.hot >= 0.95
        assert figures.dead <= 20_000
        assert figures.index_scans == 0
