"""What a worker writes: JSON for machines, whatever happens, and text on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from service.addresses import hide_password
from tests.service import LoggedProcess

if TYPE_CHECKING:
    from tests.service import Service, Worker


def lines_of(worker: Worker) -> list[dict[str, Any]]:
    """Read a log, every line of it."""
    return [json.loads(line) for line in worker.log.read_text().splitlines()]


@pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])
def test_every_line_is_json(service: Service, pool: str) -> None:
    """From what Celery warns of before it has read its options to its last word."""
    service.load("ev_1")
    worker = service.start_worker("--pool", pool, SETTLE_BATCH_MAX_UPDATE="7")
    settled = service.send(kwargs={"id": "ev_1", "status": "completed"})
    refused = service.send(kwargs={"id": "ev_1", "status": "done\n"})
    expired = service.send(kwargs={"id": "ev_1", "status": "completed"}, expires=-1)
    service.wait({settled.id: ["ev_1"], refused.id: ["ev_1"]})
    worker.wait_for_log(expired.id)
    service.wait_until_empty()
    assert worker.stop() == 0

    lines = lines_of(worker)
    assert all({"time", "level", "logger", "event"} <= line.keys() for line in lines)
    by_text = {line["event"]: line for line in lines}
    assert by_text["worker starts"]["pool"] == pool.removesuffix("s")
    assert by_text["variable is no setting"]["variable"] == "SETTLE_BATCH_MAX_UPDATE"
    assert by_text["variable is no setting"]["fix"] == "is SETTLE_BATCH_MAX_UPDATES meant?"
    assert "worker: Warm shutdown (MainProcess)" in by_text
    assert by_text["message refused"]["message_id"] == refused.id
    assert by_text["message dropped"]["message_id"] == expired.id
    batches = [line for line in lines if line["event"] == "batch settled"]
    assert sum(batch["updates"] for batch in batches) == 2
    assert {"batch", "messages", "why", "outcomes", "applied_ms"} <= batches[0].keys()
    assert batches[0]["level"] == "INFO"


def test_a_worker_started_as_in_the_readme_says_how_it_stands(service: Service) -> None:
    """What it is connected to, and that the database is as it must be; nothing of each batch."""
    service.load("ev_1")
    environment = {**os.environ, **service.environment, "C_FORCE_ROOT": "1"}
    command = (sys.executable, "-m", "celery", "-A", "worker", "worker")
    worker = LoggedProcess(service.folder / "quiet.log", environment, *command)
    try:
        worker.wait_for_log('"worker is ready"')
        service.wait({service.send(kwargs={"id": "ev_1", "status": "completed"}).id: ["ev_1"]})
    finally:
        worker.stop()
    (ready,) = [
        line
        for line in map(json.loads, worker.log.read_text().splitlines())
        if line["event"] == "worker is ready"
    ]
    assert ready["level"] == "INFO"
    shown = {"broker": "CELERY_BROKER_URL", "database": "DATABASE_URL"}
    assert {name: ready[name] for name in shown} == {
        name: hide_password(service.environment[variable]) for name, variable in shown.items()
    }
    server, *checks = ready["found"].split("; ")
    assert server.startswith("PostgreSQL ")
    assert checks[0] == "none waits for a standby"
    assert checks[1] == "columns and constraints are as they should be"
    assert re.fullmatch(r"at \d{4}, the newest", checks[2])
    assert checks[3].endswith("has what it needs and no more")
    assert "batch settled" not in worker.log.read_text()


def test_a_terminal_shows_text() -> None:
    """Celery's banner as it is, and one line an event."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "celery", "-A", "worker", "worker", "--pool", "solo"]
    unreachable = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0", "C_FORCE_ROOT": "1"}
    with subprocess.Popen(
        command, env={**os.environ, **unreachable}, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        shown = b""
        while b"broker is away" not in shown:
            shown += os.read(ours, 65_536)
        process.kill()
    assert b"[queues]" in shown
    assert b"{" not in shown.splitlines()[-1]
