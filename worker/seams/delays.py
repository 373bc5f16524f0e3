"""How Celery learns of a message that is put off, to forget it when the connection is lost."""

from __future__ import annotations

from typing import Any


def remember_timer(request: Any, entry: Any) -> None:
    """Let Celery cancel a timer when the connection is lost.

    Args:
        request: Celery's view of the message that is put off.
        entry: Of Celery's timer.
    """
    request._eta_timer_entry = entry  # noqa: SLF001 - Celery's consumer looks for it there
