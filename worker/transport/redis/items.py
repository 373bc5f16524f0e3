"""What lies in the queues and in `unacked`, in kombu's own layout.

An item is what a producer pushed: one JSON object with headers, properties and a
body. An entry is an item that somebody holds: `[item, exchange, routing key]`.
Pure: bytes in, values out; knows no Redis and no channel.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, NamedTuple

from kombu.utils.json import loads
from pydantic_core import from_json

# Of an item that is looked at: a body of eight mebibytes, in base 64, and its headers.
MAX_ITEM_BYTES = 12 * 2**20

# How often an item was with a worker that did not live to acknowledge it.
DELIVERY_COUNT = "x-delivery-count"

_TEXT = rb'("(?:[^"\\]|\\.)*"|null)'
_ENTRY = re.compile(rb"\[(.*),\s*" + _TEXT + rb",\s*" + _TEXT + rb"\]", re.DOTALL)


class NotAMessageError(ValueError):
    """The item is not a kombu message."""


class Entry(NamedTuple):
    """An item that is held, and where it goes if it is not acknowledged."""

    item: bytes
    exchange: str
    routing_key: str


def entry_tail(queue: str) -> str:
    """Return what follows the item in an entry that goes back to a queue."""
    return f',"",{json.dumps(queue)}]'


def read_entry(value: bytes) -> Entry | None:
    """Take an entry apart, leaving the item as it is; None if it is not an entry."""
    found = _ENTRY.fullmatch(value)
    if found is None:
        return None
    item, exchange, routing_key = found.groups()
    return Entry(item, json.loads(exchange) or "", json.loads(routing_key) or "")


def read_item(item: bytes) -> dict[str, Any]:
    """Return the message that an item is.

    Raises:
        NotAMessageError: It is something else.
    """
    if len(item) > MAX_ITEM_BYTES:
        raise NotAMessageError(f"it is {len(item):,} bytes, more than {MAX_ITEM_BYTES:,}")
    try:
        message = _decode(item)
    except Exception as error:  # a hostile item can make the decoder raise anything
        raise NotAMessageError(f"it is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise NotAMessageError("it is not an object")
    properties = message.get("properties")
    if not isinstance(properties, dict):
        raise NotAMessageError("it has no properties")
    if not properties.get("delivery_tag"):
        raise NotAMessageError("it has no delivery tag")
    for name, part in (
        ("headers", message.get("headers")),
        ("delivery_info", properties.get("delivery_info")),
    ):
        if not isinstance(part, dict | None):
            raise NotAMessageError(f"its {name} are not an object")
    return message


def _decode(item: bytes) -> Any:
    # kombu's decoder knows types that JSON has not, and texts that are not Unicode.
    if b"__type__" not in item:
        with suppress(ValueError):
            return from_json(item)
    return loads(item)


def delivery_count(message: dict[str, Any]) -> int:
    """Return how often a message was with a worker that did not live to acknowledge it."""
    count = (message.get("headers") or {}).get(DELIVERY_COUNT, 0)
    return count if type(count) is int else 0


def id_of(item: bytes) -> str | None:
    """Return the Celery task id of an item, as far as it can be read."""
    try:
        message_id = (read_item(item).get("headers") or {}).get("id")
    except NotAMessageError:
        return None
    return message_id if isinstance(message_id, str) else None


def redelivered(item: bytes, *, counted: bool) -> tuple[bytes, dict[str, Any]]:
    """Return the item as it goes back to a queue, and the message that it is.

    What is not a message goes back as it is, for the fetch to set it aside.

    Args:
        item: What is held.
        counted: Whether this was a failed delivery.
    """
    try:
        read_item(item)
        # Without kombu's types, to be written as it was.
        message = json.loads(item)
    except NotAMessageError:
        return item, {}
    headers = message["headers"] = message.get("headers") or {}
    headers["redelivered"] = True
    if counted:
        headers[DELIVERY_COUNT] = delivery_count(message) + 1
    properties = message["properties"]
    properties["delivery_info"] = properties.get("delivery_info") or {}
    properties["delivery_info"]["redelivered"] = True
    return json.dumps(message).encode(), message
