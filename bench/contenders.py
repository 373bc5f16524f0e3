"""Who is compared, and with how much work each gets about the same time."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.peers import graphile_worker
from bench.peers.environment import python_with_celery_batches

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET = ("--without-mingle", "--without-gossip")


@dataclass(frozen=True)
class Contender:
    """A worker process, and its work.

    Attributes:
        name: As it is called in the report.
        messages: How many are settled in one run.
        updates_each: How many updates each carries.
        app: What `celery -A` gets; `-` for the loop without Celery.
        python: Which Python it runs on.
        options: Of `celery worker`.
        workers: How many such processes.
        late_seconds: Added between the workers and the broker, each way.
        rows: How many events the table holds at least.
        on_rabbitmq: Whether the broker is RabbitMQ.
        classic: Whether its queue there is a classic one, for an older Celery cannot consume
            from a quorum queue.
        in_postgresql: Whether it is Graphile Worker, which has its queue there.
        watched: Whether a Flower is watching.
        settings: Environment variables of its own.
    """

    name: str
    messages: int
    updates_each: int = 1
    app: str = "worker"
    python: Callable[[], str] = lambda: sys.executable
    options: tuple[str, ...] = field(default=QUIET)
    workers: int = 1
    late_seconds: float = 0
    rows: int = 0
    on_rabbitmq: bool = False
    classic: bool = False
    in_postgresql: bool = False
    watched: bool = False
    settings: dict[str, str] = field(default_factory=dict)

    def commands(self) -> list[list[str]]:
        """Return the command line of each process."""
        if self.in_postgresql:
            return [graphile_worker.command()] * self.workers
        if self.app == "-":
            return [[self.python(), "-m", "bench.bare_loop"]]
        celery = [self.python(), "-m", "celery", "-A", self.app, "worker"]
        options = ["--loglevel", "WARNING", *self.options]
        return [[*celery, *options, "--hostname", f"w{n}@%h"] for n in range(self.workers)]


ONE_TASK, BATCHES = "bench.peers.one_task_per_message", "bench.peers.with_celery_batches"
LATE = 0.0005
GATHERED = {"GATHERED": "1000"}

SETTLE = Contender("Settle", 100_000)
ON_RABBITMQ = Contender("Settle, RabbitMQ", 100_000, on_rabbitmq=True)
CONTENDERS = (
    SETTLE,
    Contender("one task per update", 5_000, app=ONE_TASK),
    Contender("celery-batches", 8_000, app=BATCHES, python=python_with_celery_batches),
    Contender("Graphile Worker", 20_000, workers=2, in_postgresql=True),
    Contender(
        "Graphile Worker, gathered", 50_000, workers=2, in_postgresql=True, settings=GATHERED
    ),
    Contender("Graphile Worker, bulk of 1,000", 400, 1_000, workers=2, in_postgresql=True),
    Contender("bare loop, no Celery", 100_000, app="-"),
    Contender("Settle, Celery events on", 100_000, options=(*QUIET, "-E")),
    Contender("Settle, Flower watching", 100_000, options=(*QUIET, "-E"), watched=True),
    Contender("Settle, two workers", 100_000, workers=2),
    Contender("Settle, bulk of 1,000", 200, 1_000),
    ON_RABBITMQ,
    Contender("one task per update, RabbitMQ", 3_000, app=ONE_TASK, on_rabbitmq=True),
    Contender(
        "celery-batches, RabbitMQ",
        *(8_000, 1, BATCHES, python_with_celery_batches),
        on_rabbitmq=True,
        classic=True,
    ),
    Contender("Settle, 0.5 ms away", 100_000, late_seconds=LATE),
    Contender("one task per update, 0.5 ms away", 1_000, app=ONE_TASK, late_seconds=LATE),
    Contender(
        "celery-batches, 0.5 ms away",
        *(1_500, 1, BATCHES, python_with_celery_batches),
        late_seconds=LATE,
    ),
)
