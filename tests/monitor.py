"""A monitor as Flower is one: Celery's own receiver of task events, and its own state of them."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from celery.events.state import State

from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.service import Service


class Monitor:
    """What Celery's own receiver and state make of task events."""

    def __init__(self) -> None:
        self.connection: Any = None
        self.state = State()
        self.kinds: dict[str, list[str]] = {}
        self.of_workers: set[str] = set()

    def hear(self, event: dict[str, Any]) -> None:
        """Take a task event in."""
        self.state.event(event)
        if event["type"].startswith("task-"):
            self.kinds.setdefault(event["uuid"], []).append(event["type"])
        else:
            self.of_workers.add(event["type"])

    def listen_until(self, holds: Callable[[], bool]) -> None:
        """Listen until something holds, and tell what was heard if it never does.

        Workers that say again and again that they are there are no reason to go on.
        """
        eventually(lambda: holds() or self._listen(), lambda: (self.kinds, self.of_workers))

    def _listen(self) -> bool:
        with suppress(TimeoutError):
            self.connection.drain_events(timeout=1)
        return False

    def has_ended(self, message_id: str) -> bool:
        """Return whether a message has come to its end."""
        return "task-succeeded" in self.kinds.get(message_id, ())


@contextmanager
def monitor(service: Service) -> Iterator[Monitor]:
    """Listen while the `with` block lasts, without a word to the workers."""
    app, monitor = service.operator, Monitor()
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": monitor.hear})
        with receiver.consumer_context(wakeup=False) as (monitor.connection, _, _):
            with suppress(TimeoutError):
                # On Redis it listens from the first turn on.
                monitor.connection.drain_events(timeout=0.1)
            yield monitor
