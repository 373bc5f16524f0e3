"""From what the broker delivered to a message whose updates are understood.

Whatever is wrong with a delivery becomes a message with one invalid update, so
that it is answered and kept like any other; nothing is dropped here.
"""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any

from settle_client.names import TASK
from tasks.errors import NotUnderstoodError
from tasks.messages import Message, is_json, read_message, unintelligible, write_down
from tasks.type_marks import id_as_text
from worker.transport.delivery import (
    DELIVERY_COUNT,
    MAX_ITEM_BYTES,
    UNREADABLE,
    SetAside,
    size_of,
)
from worker.understanding.protocol_1 import translate

if TYPE_CHECKING:
    from worker.transport.delivery import Received

# On RabbitMQ, which counts also what goes back for no fault of the message, and from
# version 4 on drops a message at the twentieth. Our own transport gives up earlier.
MAX_DELIVERIES = 15
# Until then it is looked up whether it was applied: workers end for other reasons, too.
LAST_DELIVERY = MAX_DELIVERIES + 3
JSON_CONTENT_TYPE = "application/json"
# Of what nobody can read, and so nobody can send again.
KEPT_BYTES = 65_536

_quoted = reprlib.Repr()
_quoted.maxstring = _quoted.maxother = _quoted.maxlong = 80


def receive(delivery: Received, *, max_updates: int) -> Message:
    """Understand a delivery, whatever it is.

    Args:
        delivery: As kombu has it.
        max_updates: How many updates a message may carry.
    """
    try:
        return _understand(delivery, max_updates)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is answered
        return refuse(delivery, error)


def refuse(delivery: Received, error: Exception | str) -> Message:
    """Answer a delivery that carries no updates, saying why; raises nothing."""
    return unintelligible(message_id_of(delivery), str(error), raw_text(delivery.message))


def why_given_up(delivery: Received) -> str:
    """Return why a delivery is not to be applied, empty if it is: it came too often."""
    if delivery.given_up:
        return delivery.given_up
    count = _count(delivery)
    if count <= MAX_DELIVERIES:
        return ""
    return f"it was delivered {count} times and never acknowledged"


def _count(delivery: Received) -> int:
    count = delivery.headers().get(DELIVERY_COUNT, 0)
    return count if isinstance(count, int) else 0


def _understand(delivery: Received, max_updates: int) -> Message:
    if why := delivery.headers().get(UNREADABLE):
        raise NotUnderstoodError(f"its properties cannot be read: {_quote(why)}")
    translate(delivery)
    headers, message = delivery.headers(), delivery.message
    if (task := headers.get("task")) != TASK:
        raise NotUnderstoodError(f"the task is unknown: {_quote(task)}; send {TASK}")
    if _count(delivery) > LAST_DELIVERY:
        raise NotUnderstoodError(why_given_up(delivery))
    if errors := getattr(message, "errors", None):
        raise NotUnderstoodError(f"the body cannot be decoded: {errors[0][1]}")
    if message.content_type != JSON_CONTENT_TYPE:
        raise NotUnderstoodError(
            f"the content type is {_quote(message.content_type)}: send {JSON_CONTENT_TYPE}"
        )
    return read_message(message_id_of(delivery), message.body, max_updates=max_updates)


def message_id_of(delivery: Received) -> Any:
    """Return the Celery task id of a delivery, or the best there is in its place."""
    found = delivery.headers().get("id") or delivery.properties().get("correlation_id")
    return id_as_text(found)


def raw_text(message: Any) -> str:
    """Write a message down as one JSON text, for the dead letters; raises nothing.

    A large body that is not JSON, or is too large for a message, is cut, so that the
    dead letters are not what fills Redis; `body-bytes` says how much there was.
    """
    body = message.body
    if isinstance(body, bytearray | memoryview):
        body = bytes(body)
    size = message.byte_count if isinstance(message, SetAside) else size_of(body)
    is_cut = size > MAX_ITEM_BYTES or (size > KEPT_BYTES and not is_json(body))
    if is_cut:
        body = body[:KEPT_BYTES]
    if isinstance(body, bytes):
        body = body.decode(errors="backslashreplace")
    parts = {
        "headers": message.headers,
        "properties": message.properties,
        "content-type": message.content_type,
        "content-encoding": message.content_encoding,
        "body": body,
        **({"body-bytes": size} if is_cut else {}),
    }
    return "{" + ", ".join(f'"{name}": {write_down(part)}' for name, part in parts.items()) + "}"


def _quote(value: Any) -> str:
    try:
        return _quoted.repr(value)
    except Exception as error:  # noqa: BLE001 - of whatever it is
        return f"something that cannot be shown ({type(error).__name__})"
