"""Who is put to the test: Settle, and what people use today, in `bench.peers`."""

from __future__ import annotations

import atexit
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from worker.embedded import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT = ExitStack()
atexit.register(_KEPT.close)

# Long enough for a renewal now and then, short enough to wait for.
LEASE_SECONDS = "3"


@cache
def python_with_celery_batches() -> str:
    """Return the Python of an environment for celery-batches, which needs an older Celery."""
    folder = _KEPT.enter_context(temporary_folder())
    uv = ("uv", "--quiet")
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder / "venv")], check=True)
    python = str(folder / "venv/bin/python")
    packages = ("celery-batches==0.11", "celery[redis]<5.7", "psycopg[binary]")
    subprocess.run([*uv, "pip", "install", "--python", python, *packages], check=True)
    return python


@dataclass(frozen=True)
class Contender:
    """A way to run a Celery worker that does the job."""

    name: str
    app: str = "worker"
    python: Callable[[], str] = lambda: sys.executable
    settings: dict[str, str] = field(default_factory=dict)


SETTLE = Contender(
    "Settle", settings={"SETTLE_LEASE_SECONDS": LEASE_SECONDS, "SETTLE_RETRY_MAX_WAIT_SECONDS": "1"}
)
CONTENDERS = (
    SETTLE,
    Contender("a task per message", "bench.peers.one_task_per_message"),
    Contender("celery-batches", "bench.peers.with_celery_batches", python_with_celery_batches),
)
