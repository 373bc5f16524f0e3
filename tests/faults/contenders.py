"""Who is put to the test: Settle, and what people use today, in `bench.peers`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.peers.environment import python_with_celery_batches

if TYPE_CHECKING:
    from collections.abc import Callable

# Long enough for a renewal now and then, short enough to wait for.
LEASE_SECONDS = "3"


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
