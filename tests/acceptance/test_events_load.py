"""`settle events load`: events out of a file or a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from db import Database
    from tests.conftest import Urls


def load(text: str, database_url: str) -> subprocess.CompletedProcess[str]:
    """Pipe events into the command."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "events", "load", "-"],
        input=text,
        env={**os.environ, "DATABASE_URL": database_url, "CELERY_BROKER_URL": "redis://unused"},
        capture_output=True,
        text=True,
        check=False,
    )


def event(id_: str, **others: Any) -> dict[str, Any]:
    """Make an event."""
    return {"id": id_, "accountId": "acct_1", "eventType": "order.created", **others}


def test_events_are_loaded_a_line_each_or_as_an_array(
    database: Database, database_url: str
) -> None:
    """More than one statement takes; again it changes nothing."""
    events = [event(f"ev_{number:04}", payload={"n": number}) for number in range(1_001)]
    ended = load("\n".join(map(json.dumps, events)), database_url)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "Created 1,001 events, 0 were there already, 0 refused." in ended.stderr
    ended = load(json.dumps([*events[:2], event("new")]), database_url)
    assert "Created 1 events, 2 were there already, 0 refused." in ended.stderr
    rows = database.read_events(["ev_1000", "new"], with_payload=True)
    assert (rows["ev_1000"].payload, rows["new"].payload) == ('{"n": 1000}', "{}")


def test_what_is_not_valid_is_told_with_its_line(database: Database, database_url: str) -> None:
    """And all others are created."""
    lines = [
        json.dumps(event("ev_1")),
        "{",
        json.dumps(event("ev_2", accountId="")),
        json.dumps(event("ev_3", payload={"x": "\0"})),
        json.dumps(event("ev_1", payload={"other": 1})),
        json.dumps(event("ev_4")),
    ]
    ended = load("\n".join(lines), database_url)
    assert ended.returncode == 2
    said = ended.stderr.splitlines()
    assert any(line.startswith("line 2: is not JSON") for line in said)
    assert any(line.startswith("line 3: accountId: ") for line in said)
    assert any(line.startswith("line 4: 22P05") for line in said)
    assert any(line.startswith("line 5: an event of this id is there already") for line in said)
    assert "Created 2 events, 0 were there already, 4 refused." in said[-1]
    assert set(database.read_events(["ev_1", "ev_2", "ev_3", "ev_4"])) == {"ev_1", "ev_4"}


def test_a_database_without_the_table_is_said_in_a_line(urls: Urls) -> None:
    """With what the database says."""
    ended = load(json.dumps(event("ev_1")), urls.database)
    assert ended.returncode == 1
    assert "42P01" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_equal_errors_are_one_line_with_a_count(database_url: str) -> None:
    """As for updates that are published; however many they are, they hide no other."""
    lines = [*["{}"] * 30, json.dumps(event("ev_1", accountId=""))]
    ended = load("\n".join(lines), database_url)
    said = ended.stderr.splitlines()
    assert any(line.startswith("line 1 and 29 more, up to line 30: ") for line in said)
    assert any(line.startswith("line 31: accountId: ") for line in said)
    assert "31 refused" in said[-1]
