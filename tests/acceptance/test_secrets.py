"""No password is printed, by a worker or a command, whatever goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.service import Worker

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.storms

SECRET = "hush7391"  # noqa: S105 - it is to be looked for
# Not percent-encoded, and understood all the same.
UNUSUAL = f"{SECRET};{SECRET}"
# What a server that is away makes its client say.
URLS = {
    "before the host": {
        "CELERY_BROKER_URL": f"redis://user:{SECRET}@127.0.0.1:1/0",
        "DATABASE_URL": f"postgresql://user:{SECRET}@127.0.0.1:1/settle",
        "SETTLE_OUTCOME_URL": f"redis://:{SECRET}@127.0.0.1:1/0",
        "CELERY_RESULT_BACKEND": f"redis://:{SECRET}@127.0.0.1:1/0",
    },
    # Celery takes a broker's only before the host.
    "in the query": {
        "CELERY_BROKER_URL": f"redis://:{SECRET}@127.0.0.1:1/0",
        "DATABASE_URL": f"postgresql://user@127.0.0.1:1/settle?password={SECRET}",
        "SETTLE_OUTCOME_URL": f"redis://127.0.0.1:1/0?password={SECRET}",
        "CELERY_RESULT_BACKEND": f"redis://127.0.0.1:1/0?password={SECRET}",
    },
    "not encoded": {
        "CELERY_BROKER_URL": f"redis://user:{SECRET}@{SECRET} {SECRET}@127.0.0.1:1/0",
        "DATABASE_URL": f"postgresql://me@work:{UNUSUAL}/?#{SECRET}@127.0.0.1:1/settle",
        "SETTLE_OUTCOME_URL": f"redis://:{UNUSUAL}@127.0.0.1:1/0",
        "CELERY_RESULT_BACKEND": f"redis://:{SECRET}@{SECRET}@127.0.0.1:1/0",
    },
    "not to be understood": {
        "CELERY_BROKER_URL": f"redis://user:{UNUSUAL}@127.0.0.1:1/0",
        "DATABASE_URL": f"postgresql://user:{SECRET}@{SECRET}@127.0.0.1:1/settle",
        "SETTLE_OUTCOME_URL": f"redis://:{SECRET}/{SECRET}@127.0.0.1:1/0",
        "CELERY_RESULT_BACKEND": f"redis://:{SECRET}?{SECRET}@127.0.0.1:1/0",
    },
    "of RabbitMQ": {
        "CELERY_BROKER_URL": f"amqp://user:{SECRET}@127.0.0.1:1//",
        "DATABASE_URL": f"postgresql://user:{SECRET}@127.0.0.1:1/settle",
        "SETTLE_OUTCOME_URL": f"redis://:{SECRET}@127.0.0.1:1/0",
    },
}
COMMANDS = (
    ("publish", "ev_1", "completed", "--wait"),
    ("outcomes", "--from-start"),
    ("migrate",),
    ("config",),
    ("doctor",),
)


@pytest.mark.parametrize("where", URLS)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
def test_a_command_prints_no_password(command: tuple[str, ...], where: str) -> None:
    """Wherever in a URL it stands."""
    ended = subprocess.run(
        [sys.executable, "-m", "cli", *command],
        env={**os.environ, **URLS[where]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.stdout + ended.stderr
    assert SECRET not in ended.stdout + ended.stderr


@pytest.mark.parametrize("where", URLS)
def test_a_worker_logs_no_password(where: str, tmp_path: Path) -> None:
    """Not in its banner, nor while it looks for its broker, nor when it does not start."""
    log = tmp_path / "log"
    worker = Worker(log, {**os.environ, **URLS[where], "C_FORCE_ROOT": "1"})
    starts = where != "not to be understood"
    try:
        worker.wait_for_log("broker is away" if starts else "percent-encode the password")
    finally:
        worker.kill()
    assert SECRET not in log.read_text()
