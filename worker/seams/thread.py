"""Celery's thread pool, which can also grow and shrink, and is what a worker has by default.

For `celery control pool_grow` and `pool_shrink`, which its own knows only for
processes. A slot that is taken away finishes its batch.

By default, because a slot waits for PostgreSQL and Redis, which release the interpreter.
A `worker_pool` in the configuration would do, but Celery takes its own default,
`prefork`, for nothing said: `--pool prefork` would mean the configured pool too. So the
default of the option is another one. That is the command line's: a worker that a
program makes itself, with `app.Worker()`, names its pool.

Celery's banner, the log and `settle doctor` show a pool by the name of its module: `thread`.
"""

from __future__ import annotations

from typing import Any

from celery.bin.worker import worker as worker_command
from celery.concurrency import ALIASES
from celery.concurrency.thread import TaskPool as CeleryTaskPool


class TaskPool(CeleryTaskPool):
    """A pool of threads."""

    limit: int

    def grow(self, n: int = 1) -> None:
        """Add slots."""
        self.limit += n
        # An executor starts threads as they are needed, up to this.
        self.executor._max_workers = max(self.limit, self.executor._max_workers)  # noqa: SLF001

    def shrink(self, n: int = 1) -> None:
        """Take slots away, but for one."""
        self.limit = max(1, self.limit - n)


def install() -> None:
    """Mean this pool by `--pool threads`, and threads by no `--pool`."""
    ALIASES["threads"] = "worker.seams.thread:TaskPool"
    pool_option().default = "threads"


def pool_option() -> Any:
    """Return the option of `celery worker`."""
    return next(option for option in worker_command.params if option.name == "pool")
