"""Old outcomes and old dead letters, as a scheduler has them removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.service import eventually

if TYPE_CHECKING:
    from tests.service import Service

pytestmark = pytest.mark.storms

OUTCOMES, DEAD = "event-outcomes", "event-status-updates.dead"
DAY_MILLISECONDS = 86_400_000


def retention(service: Service, *arguments: str) -> Any:
    """Run `settle retention` as the user that is documented for it."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "retention", *arguments],
        env={**os.environ, "SETTLE_OUTCOME_URL": service.users.housekeeper},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def old(service: Service) -> Service:
    """Give a service with entries of 40 days and 10 days ago, and the outcomes of just now."""
    now = int(time.time() * 1_000)
    for days in (40, 10):
        for name in (OUTCOMES, DEAD):
            service.channel.xadd(name, {"outcome": "{}"}, id=f"{now - days * DAY_MILLISECONDS}-0")
    service.load("ev_1")
    service.start_worker()
    sent = [
        service.send(kwargs={"id": "ev_1", "status": status}, ignore_result=True)
        for status in ("completed", "done")
    ]
    eventually(lambda: {message.id for message in sent} <= published_ids(service))
    return service


def published_ids(service: Service) -> set[str]:
    """Return the ids of the messages that have outcomes."""
    return {json.loads(one["outcome"]).get("messageId") for _, one in entries(service)}


def entries(service: Service) -> Any:
    """Return the entries of the stream of outcomes."""
    return service.channel.xrange(OUTCOMES)


def test_each_stream_has_an_age_of_its_own(old: Service) -> None:
    """What is older goes, and the command says what went and what is left."""
    ended = retention(old, "--outcomes", "7d", "--dead-letters", "30d")
    assert (ended.returncode, ended.stderr) == (0, "")
    outcomes, dead = ended.stdout.splitlines()
    assert outcomes.startswith("outcomes: removed 2 from before ")
    assert outcomes.endswith("Z, 2 left")
    assert dead.startswith("dead letters: removed 1 from before ")
    assert dead.endswith("Z, 2 left")
    assert (old.channel.xlen(OUTCOMES), old.channel.xlen(DEAD)) == (2, 2)


def test_dead_letters_are_left_unless_their_age_is_given(old: Service) -> None:
    """And outcomes likewise; with no age at all the command does not know what to do."""
    ended = retention(old, "--outcomes", "36h")
    assert ended.stdout.endswith("dead letters: not touched, 3 left\n")
    assert old.channel.xlen(DEAD) == 3
    ended = retention(old)
    assert ended.returncode == 2
    assert "give --outcomes AGE, --dead-letters AGE or both" in ended.stderr
    ended = retention(old, "--dead-letters", "soon")
    assert ended.returncode == 2
    assert "'soon' is not an age" in ended.stderr


def test_a_dry_run_removes_nothing(old: Service) -> None:
    """It says what would go, for a program too."""
    ended = retention(old, "--outcomes", "7d", "--dead-letters", "7d", "--dry-run", "--json")
    report = json.loads(ended.stdout)
    assert report["dryRun"] is True
    for what in ("outcomes", "deadLetters"):
        assert (report[what]["olderThan"], report[what]["heldBackBy"]) == ("7d", [])
    assert [report[what]["removed"] for what in ("outcomes", "deadLetters")] == [2, 2]
    assert (old.channel.xlen(OUTCOMES), old.channel.xlen(DEAD)) == (4, 3)


def test_a_consumer_group_holds_back_what_it_has_not_read(old: Service) -> None:
    """It is named on stderr, and only --force removes what it needs."""
    old.channel.xgroup_create(OUTCOMES, "billing", id="0")
    old.channel.xreadgroup("billing", "one", {OUTCOMES: ">"}, count=1, noack=True)
    ended = retention(old, "--outcomes", "7d")
    assert ended.returncode == 0
    assert "removed 1 from" in ended.stdout
    assert "consumer group 'billing' has not read or not acknowledged" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    ended = retention(old, "--outcomes", "7d", "--force", "--json")
    assert ended.stderr == ""
    assert json.loads(ended.stdout)["outcomes"]["removed"] == 1
    assert old.channel.xlen(OUTCOMES) == 2
