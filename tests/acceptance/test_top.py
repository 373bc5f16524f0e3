"""`settle top`, as an operator types it, with no more rights than the operator's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.service import Service

pytestmark = pytest.mark.storms


def top(service: Service, *options: str, **environment: str) -> Any:
    """Run the command as the documented operator."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "top", *options],
        env={**os.environ, "CELERY_BROKER_URL": service.users.operator, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_numbers_agree_with_what_happened(service: Service) -> None:
    """Of two workers together: outcomes, batches, dead letters, and that nothing is left."""
    service.load(*(f"ev_{number}" for number in range(20)))
    service.start_worker()
    service.start_worker("--pool", "solo")
    sent = [
        service.send(kwargs={"id": f"ev_{number % 20}", "status": "completed"})
        for number in range(25)
    ]
    unknown = service.send(kwargs={"id": "nobody", "status": "failed"})
    service.send(args=["nonsense"])
    service.wait(
        {**{one.id: [f"ev_{n % 20}"] for n, one in enumerate(sent)}, unknown.id: ["nobody"]}
    )
    service.wait_until_empty()

    ended = top(service, "--once", "--json", "--interval", "1")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["updates"] == {
        "updated": 20,
        "already_completed": 5,
        "already_failed": 0,
        "not_found": 1,
        "refused": 0,
        "invalid": 1,
    }
    assert report["queue"] == {"messages": 0, "oldestAgeSeconds": 0, "delayed": 0}
    assert report["deadLettersKept"] == 1
    assert report["updatesPerSecond"]["updated"] == 0
    assert report["notes"] == []
    assert [worker["name"].partition("@")[0] for worker in report["workers"]] == ["w0", "w1"]
    for worker, running in zip(report["workers"], service.workers, strict=True):
        assert worker["pid"] == running.process.pid
        assert worker["answers"]
        assert worker["live"]
        assert worker["slotsTaken"] == sum(worker["heldMessages"].values()) == 0
        assert set(worker["servers"]) == {"database", "result_channel", "broker"}
    assert sum(sum(worker["updates"].values()) for worker in report["workers"]) == 27

    table = top(service, "--interval", "1")
    assert table.returncode == 0
    assert "already_completed" in table.stdout
    assert "\x1b" not in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 80


def test_no_worker_is_no_error(service: Service) -> None:
    """It says so, and what waits."""
    service.send(kwargs={"id": "ev_1", "status": "completed"})
    ended = top(service, "--once", "--interval", "1")
    assert ended.returncode == 0
    assert "1 messages waiting" in ended.stdout
    assert "NO WORKER ANSWERS" in ended.stdout


@pytest.mark.parametrize("url", ["redis://u:hush@127.0.0.1:1/0", "amqp://u:hush@127.0.0.1:1//"])
def test_an_unreachable_broker_is_one_line(service: Service, url: str) -> None:
    """On stderr, without the password, and the exit code is not 0."""
    ended = top(
        service, "--once", "--json", CELERY_BROKER_URL=url, SETTLE_OUTCOME_URL=service.redis_url
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("Error: CELERY_BROKER_URL: ")
    assert ended.stderr.count("\n") == 1
    assert "hush" not in ended.stderr
