"""The dead letters, as an operator looks after them, and the worker that stops making them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.service import eventually

if TYPE_CHECKING:
    from tests.service import Service

QUEUE, DEAD = "event-status-updates", "event-status-updates.dead"


def dead(service: Service, *arguments: str) -> Any:
    """Run `settle dead` as the operator."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "dead", *arguments],
        env={
            **os.environ,
            "CELERY_BROKER_URL": service.users.operator,
            "SETTLE_OUTCOME_URL": service.users.operator,
            "DATABASE_URL": service.database_url,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def make_letters(service: Service) -> dict[str, str]:
    """Let a worker refuse one update of a message, and a whole message; return entries by reason.

    With two updates a message allowed, three are too many; they are fine later.
    """
    worker = service.start_worker(SETTLE_MESSAGE_MAX_UPDATES="2")
    updates = [{"id": f"ev_{number}", "status": "completed"} for number in (1, 2, 3)]
    large = service.send(args=[updates], ignore_result=True)
    partly = service.send(
        args=[[{"id": "ev_4", "status": "failed"}, {"id": "ev_4", "status": "done"}]],
        ignore_result=True,
    )
    service.wait({large.id: [""], partly.id: ["ev_4"]})
    eventually(lambda: service.channel.xlen(DEAD) >= 2)
    assert worker.stop() == 0
    listed = [json.loads(line) for line in dead(service, "list", "--json").stdout.splitlines()]
    assert {one["messageId"] for one in listed} == {large.id, partly.id}
    return {"large" if one["messageId"] == large.id else "status": one["id"] for one in listed}


def test_dead_letters_are_listed_and_shown(service: Service) -> None:
    """With the raw message, the reason, the time and how it was delivered."""
    service.load("ev_1", "ev_2", "ev_3", "ev_4")
    letters = make_letters(service)
    listed = dead(service, "list").stdout
    assert all(entry in listed for entry in letters.values())
    shown = dead(service, "show", letters["status"]).stdout
    assert "status: must be 'completed' or 'failed', got 'done'" in shown
    assert '"status": "done"' in shown
    assert ["index", "1"] in [line.split() for line in shown.splitlines()]
    assert QUEUE in shown


def test_a_dry_run_says_what_would_happen(service: Service) -> None:
    """Letter by letter, from the table as it is, and changes nothing."""
    service.load("ev_1", "ev_2")
    letters = make_letters(service)
    ended = dead(service, "replay", "--all", "--dry-run")
    assert ended.returncode == 2
    assert f"{letters['large']}: ev_1 would be completed" in ended.stdout
    assert f"{letters['large']}: ev_3 would not be updated: not_found" in ended.stdout
    assert f"{letters['status']}: still not valid, kept: status" in ended.stderr
    assert service.channel.xlen(DEAD) == 2
    assert service.redis.llen(QUEUE) == 0


def test_a_letter_is_sent_again_and_settled(service: Service) -> None:
    """Under its own message id, by the one way that every update goes."""
    service.load("ev_1", "ev_2", "ev_3", "ev_4")
    letters = make_letters(service)
    ended = dead(service, "replay", letters["large"])
    assert ended.returncode == 0, ended.stderr
    assert service.channel.xlen(DEAD) == 1
    service.start_worker()
    service.wait_until_empty()
    rows = service.database.read_events(["ev_1", "ev_2", "ev_3"])
    assert {row.status for row in rows.values()} == {"completed"}
    assert f"message {rows['ev_1'].settled_by}" in ended.stdout


def test_letters_are_dropped_when_somebody_says_so(service: Service) -> None:
    """Those that are there, even if others are not."""
    letters = make_letters(service)
    assert "add --yes" in dead(service, "drop", "--all").stderr
    ended = dead(service, "drop", "1-1", "nonsense", letters["large"], "--yes")
    assert ended.returncode == 2
    assert ended.stderr.count("there is no such dead letter") == 2
    assert service.channel.xlen(DEAD) == 1
    assert dead(service, "drop", "--all", "--yes").stdout == "Dropped 1.\n"
    assert dead(service, "list").stdout == "There are no dead letters.\n"


def test_a_queue_of_rubbish_is_left_alone(service: Service) -> None:
    """Until somebody has seen to it; what is good is settled before and after."""
    service.load("ev_1", "ev_2")
    good = service.send(kwargs={"id": "ev_1", "status": "completed"}, ignore_result=True)
    for _ in range(1_000):
        service.send(kwargs={"id": "ev_2", "status": "done"}, ignore_result=True)
    worker = service.start_worker()
    worker.wait_for_log("nothing is consumed any more")
    assert service.wait({good.id: ["ev_1"]})[good.id][0].updated
    time.sleep(1)
    left = service.redis.llen(QUEUE)
    assert left + service.channel.xlen(DEAD) == 1_000
    assert left >= 900
    assert worker.process.poll() is None

    service.redis.delete(QUEUE)
    late = service.send(kwargs={"id": "ev_2", "status": "failed"}, ignore_result=True)
    subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "control", "add_consumer", QUEUE],
        env={**os.environ, "CELERY_BROKER_URL": service.users.operator},
        check=True,
        capture_output=True,
    )
    assert service.wait({late.id: ["ev_2"]})[late.id][0].updated
