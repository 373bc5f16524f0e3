"""Celery's event dispatcher, handed many task events at once that are written already.

Its own way takes one at a time, as a dictionary. When it cannot send, it keeps
what it has for the next connection: so does this.
"""

from __future__ import annotations

from typing import Any

import msgspec

# The routing key under which monitors expect several task events at once.
SEVERAL = "task.multi"


def publish_task_events(dispatcher: Any, task_events: bytes) -> None:
    """Publish task events in one message.

    Args:
        dispatcher: Celery's.
        task_events: A JSON array of them.

    Raises:
        Exception: Of whatever library reaches the broker.
    """
    with dispatcher.mutex:
        dispatcher.producer.publish(
            task_events,
            routing_key=SEVERAL,
            exchange=dispatcher.exchange.name,
            content_type="application/json",
            content_encoding="utf-8",
            headers=dispatcher.headers,
            delivery_mode=dispatcher.delivery_mode,
        )


def keep_task_events(dispatcher: Any, task_events: bytes) -> None:
    """Keep task events for Celery to send when it has another connection."""
    dispatcher._outbound_buffer.append((msgspec.json.decode(task_events), SEVERAL))  # noqa: SLF001
