"""A worker that ends when it looks at a message: `python -m tests.faults.killing …`.

Everything after the module's name is Celery's command line. KILLED_BY is the id of the
event whose update it cannot bear, KILLED_HOW the way in which it ends: at once, or by an
exception of which nobody has thought.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from celery.__main__ import main

import worker.strategy
import worker.understanding.other
import worker.understanding.plain

if TYPE_CHECKING:
    from collections.abc import Callable

BY = os.environ["KILLED_BY"]
EXIT_CODE = 70


def end_at(read: Callable[..., Any]) -> Callable[..., Any]:
    """Read messages, and end at the one."""

    def wrapped(message_id: Any, body: Any, **options: Any) -> Any:
        if BY in str(body):
            os._exit(EXIT_CODE)
        return read(message_id, body, **options)

    return wrapped


def fail_at(take: Callable[..., Any], text_of: Callable[[Any], str]) -> Callable[..., Any]:
    """Look at what comes, and fail at the one."""

    def wrapped(self: Any, came: Any) -> Any:
        came = came if hasattr(came, "payload") else list(came)
        if BY in text_of(came):
            raise RuntimeError("an exception of which nobody has thought")
        return take(self, came)

    return wrapped


def text_of_all(came: list[Any]) -> str:
    """Return what raw deliveries say."""
    return str([delivery.read(shown=False) for delivery in came])


def text_of_one(message: Any) -> str:
    """Return what a message says."""
    return str(message.payload)


if os.environ["KILLED_HOW"] == "exit":
    # Where each is looked up.
    for module in (worker.understanding.plain, worker.understanding.other):
        module.read_message = end_at(module.read_message)  # type: ignore[attr-defined]
else:
    strategy = worker.strategy.BatchStrategy
    for name, text_of in (("receive", text_of_one), ("_take", text_of_all)):
        setattr(strategy, name, fail_at(getattr(strategy, name), text_of))

if __name__ == "__main__":
    main()
