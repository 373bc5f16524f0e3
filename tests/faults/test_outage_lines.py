"""What is read of an outage at the level at which a worker logs by default."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.service import LoggedProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.rig import Rig


@pytest.fixture
def worker(unloaded_rig: Rig) -> Iterator[LoggedProcess]:
    """Start a worker as the README does, and wait until it is ready."""
    environment = {**os.environ, **unloaded_rig._urls(), "C_FORCE_ROOT": "1"}
    command = (sys.executable, "-m", "celery", "-A", "worker", "worker")
    worker = LoggedProcess(unloaded_rig.service.folder / "log", environment, *command)
    try:
        worker.wait_for_log('"worker is ready"')
        yield worker
    finally:
        worker.kill()


@pytest.mark.parametrize(
    ("server", "begins", "ends"),
    [
        pytest.param(
            *("postgres", "database cannot be used", "database can be used again"), id="PostgreSQL"
        ),
        pytest.param("broker", "broker is away", "broker is back", id="the broker"),
        pytest.param(
            *("outcomes", "result channel is away", "result channel is back"), id="the channel"
        ),
    ],
)
def test_an_outage_ends_where_it_began(
    unloaded_rig: Rig, worker: LoggedProcess, server: str, begins: str, ends: str
) -> None:
    """With no message to settle, too: whoever reads the one line reads the other."""
    broken: Any = getattr(unloaded_rig, server)
    broken.stop()
    worker.wait_for_log(f'"{begins}"')
    broken.start()
    worker.wait_for_log(f'"{ends}"')
    lines = [json.loads(line) for line in worker.log.read_text().splitlines()]
    levels = {line["event"]: line["level"] for line in lines}
    assert levels[begins] == levels[ends] == "WARNING"
