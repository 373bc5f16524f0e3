"""Celery's result backend, given many results at once.

Celery stores one result at a time, in two round trips on Redis: a single thread that
shares its interpreter with slots at work would fall behind them. Here many go in one.
They are written as Celery writes them. What is stored, and when, is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import states
from celery.backends.redis import RedisBackend

if TYPE_CHECKING:
    from collections.abc import Sequence

    Stored = tuple[str, Any, str]

MOST_TOGETHER = 256


def most_together(backend: Any) -> int:
    """Return how many results a backend takes at once."""
    return MOST_TOGETHER if isinstance(backend, RedisBackend) else 1


def store_together(backend: Any, results: Sequence[Stored]) -> None:
    """Store results, each a message id with a value and a state; storing them again is safe.

    Raises:
        Exception: Some may be stored, not all.
    """
    if len(results) == 1 or not isinstance(backend, RedisBackend):
        for result in results:
            backend.store_result(*result)
        return
    with backend.client.pipeline(transaction=False) as pipe:
        for message_id, value, state in results:
            # Celery sees to it that nothing replaces a success.
            if state == states.SUCCESS:
                _write(pipe, backend, message_id, value)
            else:
                backend.store_result(message_id, value, state)
        pipe.execute()


def _write(pipe: Any, backend: RedisBackend, message_id: str, value: Any) -> None:
    state = states.SUCCESS
    result = backend.encode_result(value, state)
    meta = backend._get_result_meta(  # noqa: SLF001 - what Celery writes
        result=result, state=state, traceback=None, request=None
    )
    text = backend.encode({**meta, "task_id": message_id})
    key = backend.get_key_for_task(message_id)
    if backend.expires:
        # Celery's command, which its users' rights are made for.
        pipe.execute_command("SETEX", key, backend.expires, text)
    else:
        pipe.set(key, text)
    pipe.publish(key, text)
