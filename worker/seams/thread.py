"""Celery's thread pool, which can also grow and shrink.

For `celery control pool_grow` and `pool_shrink`, which its own knows only for
processes. A slot that is taken away finishes its batch.
"""

from __future__ import annotations

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
    """Mean this pool by `--pool threads`."""
    ALIASES["threads"] = "worker.seams.thread:TaskPool"
