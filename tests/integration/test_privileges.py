"""The least that a worker's role needs, as docs/operations.md says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import make_url

from db import Database, Settlement
from db.loading import NewEvent, load_events

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
def worker_url(database_url: str) -> Iterator[str]:
    """Make the documented role and return how it connects."""
    text = OPERATIONS.read_text(encoding="utf-8")
    found = re.search(r"```sql\n(CREATE ROLE.*?)```", text, re.DOTALL)
    assert found
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(found[1].replace("…", "secret").encode())
        url = make_url(database_url).set(username="settle_worker", password="secret")  # noqa: S106
        yield url.render_as_string(hide_password=False)
        owner.execute("DROP OWNED BY settle_worker")
        owner.execute("DROP ROLE settle_worker")


def test_the_documented_role_settles_and_can_do_nothing_else(
    worker_url: str, database_url: str
) -> None:
    """It neither inserts nor deletes, nor changes what an event is about."""
    load_events(database_url, [NewEvent("ev_1", "acct_1")])
    database = Database(worker_url)
    rows = database.settle_pending_events(
        [Settlement("ev_1", "completed", None, "m")], with_payload=True
    )
    database.close()
    assert rows["ev_1"].status == "completed"
    with psycopg.connect(worker_url, autocommit=True) as worker:
        for statement in (
            "DELETE FROM events",
            "TRUNCATE events",
            "UPDATE events SET account_id = 'other'",
            "INSERT INTO events (id) VALUES ('x')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                worker.execute(statement.encode())
