"""From what the broker delivered to a message whose updates are understood.

Whatever is wrong with a delivery becomes a message with one invalid update, so
that it is answered and kept like any other; nothing is dropped here.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from tasks.errors import NotUnderstoodError
from tasks.messages import Message, read_message, understand, unintelligible
from worker.transport.redis.items import DELIVERY_COUNT, MAX_ITEM_BYTES

# On RabbitMQ, which counts also what goes back for no fault of the message, and from
# version 4 on drops a message at the twentieth. Our own transport gives up earlier.
MAX_DELIVERIES = 15
JSON_CONTENT_TYPE = "application/json"
KEPT_OF_TOO_MUCH_BYTES = 65_536


def receive(delivered: Any, payload: Any, *, max_updates: int) -> Message:
    """Understand a delivery.

    Args:
        delivered: The `kombu.Message`.
        payload: Its decoded body if it is of Celery protocol 1, else None.
        max_updates: How many updates a message may carry.
    """
    try:
        return _understand(delivered, payload, max_updates)
    except NotUnderstoodError as error:
        return refuse(delivered, str(error))


def refuse(delivered: Any, error: str) -> Message:
    """Answer a delivery that carries no updates, saying why."""
    return unintelligible(message_id_of(delivered), error, raw_text(delivered))


class SetAside:
    """Stands in for a delivery that the transport could not, or would not, deliver.

    It is an item of the queue that is no message, or one that has been with too
    many workers that died.
    """

    content_type = content_encoding = None

    def __init__(self, item: bytes, queue: str, tag: str) -> None:
        self.body, self.delivery_tag = item, tag
        self.delivery_info = {"routing_key": queue, "redelivered": False}
        self.headers: dict[str, Any] = {}
        self.properties: dict[str, Any] = {}
        if len(item) > MAX_ITEM_BYTES:
            return
        with suppress(ValueError, RecursionError):
            message = json.loads(item)
            if isinstance(message, dict):
                for part in ("headers", "properties"):
                    if isinstance(message.get(part), dict):
                        setattr(self, part, message[part])


def _understand(delivered: Any, payload: Any, max_updates: int) -> Message:
    count = (delivered.headers or {}).get(DELIVERY_COUNT, 0)
    if isinstance(count, int) and count > MAX_DELIVERIES:
        raise NotUnderstoodError(f"it was delivered {count} times and never acknowledged")
    if errors := getattr(delivered, "errors", None):
        raise NotUnderstoodError(f"the body cannot be decoded: {errors[0][1]}")
    if delivered.content_type != JSON_CONTENT_TYPE:
        raise NotUnderstoodError(
            f"the content type is {delivered.content_type!r}: send {JSON_CONTENT_TYPE}"
        )
    message_id = message_id_of(delivered)
    if isinstance(payload, dict):
        args, kwargs = payload.get("args"), payload.get("kwargs")
        return understand(message_id, args, kwargs, max_updates=max_updates)
    return read_message(message_id, delivered.body, max_updates=max_updates)


def message_id_of(delivered: Any) -> Any:
    """Return the Celery task id of a delivery, or the best there is in its place."""
    headers = delivered.headers if isinstance(delivered.headers, dict) else {}
    properties = delivered.properties if isinstance(delivered.properties, dict) else {}
    return headers.get("id") or properties.get("correlation_id")


def raw_text(delivered: Any) -> str:
    """Write a delivery down as one JSON text, for the dead letters.

    A body too large to be a message's is cut, so that the dead letters are not
    what fills Redis; it says how much there was.
    """
    body, size = delivered.body, _size(delivered.body)
    if size > MAX_ITEM_BYTES:
        body = body[:KEPT_OF_TOO_MUCH_BYTES]
    if isinstance(body, bytes | bytearray | memoryview):
        body = bytes(body).decode(errors="backslashreplace")
    return json.dumps(
        {
            "headers": delivered.headers,
            "properties": delivered.properties,
            "content-type": delivered.content_type,
            "content-encoding": delivered.content_encoding,
            "body": body,
            **({"body-bytes": size} if size > MAX_ITEM_BYTES else {}),
        },
        default=repr,
    )


def _size(body: Any) -> int:
    return len(body) if isinstance(body, str | bytes | bytearray | memoryview) else 0


def delivery_details(delivered: Any) -> dict[str, Any]:
    """Return how a message came: queue, exchange, whether and how often it came before."""
    info = delivered.delivery_info if isinstance(delivered.delivery_info, dict) else {}
    headers = delivered.headers if isinstance(delivered.headers, dict) else {}
    return {
        "queue": info.get("routing_key"),
        "exchange": info.get("exchange"),
        "redelivered": bool(info.get("redelivered") or headers.get("redelivered")),
        "deliveriesToDeadWorkers": headers.get(DELIVERY_COUNT, 0),
    }
