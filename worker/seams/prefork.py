"""The jobs that a prefork pool's children have, when the connection is lost.

Celery forgets the jobs that no child is known to have accepted, though one may be
at work on them; nobody would then read its report, and the child waits for that
when the worker stops.
"""

from __future__ import annotations

from typing import Any


def remember_begun_jobs(pool: Any) -> None:
    """Let a pool go on expecting reports of the jobs that its children have.

    Args:
        pool: Celery's, of any kind; only prefork has such jobs.
    """
    for job in getattr(getattr(pool, "_pool", None), "_cache", {}).values():
        # What was written to a child is taken for accepted; there is no other way.
        job._accepted |= job._write_to is not None  # noqa: SLF001
