"""From what the broker delivered to a message whose updates are understood.

Whatever is wrong with a delivery becomes a message with one invalid update, so
that it is answered and kept like any other; nothing is dropped here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tasks.errors import NotUnderstoodError
from tasks.messages import Message, read_message, understand, unintelligible
from worker.transport.delivery import DELIVERY_COUNT, MAX_ITEM_BYTES

if TYPE_CHECKING:
    from worker.transport.delivery import Received

# On RabbitMQ, which counts also what goes back for no fault of the message, and from
# version 4 on drops a message at the twentieth. Our own transport gives up earlier.
MAX_DELIVERIES = 15
JSON_CONTENT_TYPE = "application/json"
KEPT_OF_TOO_MUCH_BYTES = 65_536


def receive(delivery: Received, payload: Any, *, max_updates: int) -> Message:
    """Understand a delivery.

    Args:
        delivery: As kombu has it.
        payload: Its decoded body if it is of Celery protocol 1, else None.
        max_updates: How many updates a message may carry.
    """
    try:
        return _understand(delivery, payload, max_updates)
    except NotUnderstoodError as error:
        return refuse(delivery, str(error))


def refuse(delivery: Received, error: str) -> Message:
    """Answer a delivery that carries no updates, saying why."""
    return unintelligible(message_id_of(delivery), error, raw_text(delivery.message))


def _understand(delivery: Received, payload: Any, max_updates: int) -> Message:
    count, message = delivery.headers().get(DELIVERY_COUNT, 0), delivery.message
    if isinstance(count, int) and count > MAX_DELIVERIES:
        raise NotUnderstoodError(f"it was delivered {count} times and never acknowledged")
    if errors := getattr(message, "errors", None):
        raise NotUnderstoodError(f"the body cannot be decoded: {errors[0][1]}")
    if message.content_type != JSON_CONTENT_TYPE:
        raise NotUnderstoodError(
            f"the content type is {message.content_type!r}: send {JSON_CONTENT_TYPE}"
        )
    message_id = message_id_of(delivery)
    if isinstance(payload, dict):
        args, kwargs = payload.get("args"), payload.get("kwargs")
        return understand(message_id, args, kwargs, max_updates=max_updates)
    return read_message(message_id, message.body, max_updates=max_updates)


def message_id_of(delivery: Received) -> Any:
    """Return the Celery task id of a delivery, or the best there is in its place."""
    return delivery.headers().get("id") or delivery.properties().get("correlation_id")


def raw_text(message: Any) -> str:
    """Write a message down as one JSON text, for the dead letters.

    A body too large to be a message's is cut, so that the dead letters are not
    what fills Redis; it says how much there was.
    """
    body, size = message.body, _size(message.body)
    if size > MAX_ITEM_BYTES:
        body = body[:KEPT_OF_TOO_MUCH_BYTES]
    if isinstance(body, bytes | bytearray | memoryview):
        body = bytes(body).decode(errors="backslashreplace")
    return json.dumps(
        {
            "headers": message.headers,
            "properties": message.properties,
            "content-type": message.content_type,
            "content-encoding": message.content_encoding,
            "body": body,
            **({"body-bytes": size} if size > MAX_ITEM_BYTES else {}),
        },
        default=repr,
    )


def _size(body: Any) -> int:
    return len(body) if isinstance(body, str | bytes | bytearray | memoryview) else 0
