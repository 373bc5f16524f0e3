"""The consumer's thread: to be called in it soon, or later.

Celery has two loops. With an event loop the timers run in its own thread, and what
they schedule for soon waits for the next thing to happen: so a timer calls at once.
Without one the timers have a thread of their own: so a timer only asks to be called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Loop:
    """The loop of one consumer."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def call_soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function in the consumer's thread, in its next turn; from any thread."""
        self._consumer.call_soon(function, *args)

    def call_later(self, seconds: float, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the consumer's thread, and return what can be cancelled."""
        timer = self._consumer.timer
        if self._consumer.hub is not None:
            return timer.call_after(seconds, function, args)
        return timer.call_after(seconds, self._consumer.call_soon, (function, *args))
