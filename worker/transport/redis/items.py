"""What lies in the queues and in `unacked`: kombu's own layout, which is known here alone.

An item is what a producer pushed: one JSON object with headers, properties and a
body. An entry is an item that somebody holds: `[item, exchange, routing key]`.
Pure: bytes in, values out; knows no Redis and no channel.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import msgspec
from kombu.utils.json import loads, object_hook
from msgspec import Raw
from pydantic_core import from_json

from tasks.density import MAX_VALUES, is_too_dense
from tasks.type_marks import id_as_text
from worker.transport.delivery import DELIVERY_COUNT, MAX_ITEM_BYTES, Headers, Shown, Stock

# What an item begins with that was with a dead worker: nothing else of it is looked at.
_WITH_A_DEAD_WORKER = b'{"headers": {"%s": ' % DELIVERY_COUNT.encode()
# What any reader of JSON reads, however deep in calls it is.
MAX_DIGITS = 4_300
MAX_BRACKETS = 500
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1))
_TEXT = rb'("(?:[^"\\]|\\.)*"|null)'
_ENTRY = re.compile(rb"\[(.*),\s*" + _TEXT + rb",\s*" + _TEXT + rb"\]", re.DOTALL)


class _DeliveryInfo(msgspec.Struct):
    exchange: str
    routing_key: str


class _Properties(msgspec.Struct):
    delivery_tag: str
    body_encoding: Literal["base64"]
    delivery_info: _DeliveryInfo


class _StockItem(
    msgspec.Struct, rename={"content_type": "content-type", "content_encoding": "content-encoding"}
):
    body: bytes
    headers: Headers
    properties: _Properties
    content_type: Literal["application/json"]
    content_encoding: Literal["utf-8"]


class _ShownItem(_StockItem):
    headers: Shown


class _AnyItem(msgspec.Struct):
    headers: dict[str, Any]


class _Parts(msgspec.Struct):
    headers: Raw = Raw(b"{}")
    properties: Raw = Raw(b"{}")


_decode_stock = msgspec.json.Decoder(_StockItem).decode
_decode_shown = msgspec.json.Decoder(_ShownItem).decode
_decode_any = msgspec.json.Decoder(_AnyItem).decode
_decode_parts = msgspec.json.Decoder(_Parts).decode


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


def read_stock(item: bytes, *, shown: bool) -> Stock | None:
    """Take an item apart in one pass, None if it is not what a stock client pushes.

    Args:
        item: As it lies in the list.
        shown: Whether to read also what monitors show.
    """
    if len(item) > MAX_ITEM_BYTES:
        return None
    try:
        read = _decode_shown(item) if shown else _decode_stock(item)
    except (ValueError, RecursionError):
        return None
    properties = read.properties
    if not (properties.delivery_tag and _is_ordinary(item, read.body)):
        return None
    info = properties.delivery_info
    return Stock(read.headers, read.body, info.routing_key, info.exchange)


def _is_ordinary(item: bytes, body: bytes) -> bool:
    """Return whether an item can be read whole as well, should it come again.

    What is skipped is not looked at, and might be something that nobody else reads.
    """
    # In base 64 a body has a third more.
    skipped = len(item) - len(body) * 4 // 3
    # What is opened is closed.
    if skipped > 2 * MAX_BRACKETS and item.count(b"[") + item.count(b"{") > MAX_BRACKETS:
        return False
    if skipped > MAX_DIGITS and (is_too_dense(item) or _LONG_NUMBER.search(item)):
        return False
    return item.isascii() or _is_text(item)


def _is_text(item: bytes) -> bool:
    try:
        item.decode()
    except UnicodeDecodeError:
        return False
    return True


def headers_of(item: bytes) -> dict[str, Any]:
    """Return the headers of an item, as far as they can be read."""
    try:
        return {} if is_too_dense(item) else _decode_any(item).headers
    except (ValueError, RecursionError):
        return {}


def salvage(item: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the headers and the properties of what may be no message, as far as there are any."""
    parts: Any = {}
    if len(item) <= MAX_ITEM_BYTES and not is_too_dense(item):
        with suppress(ValueError, RecursionError):
            parts = json.loads(item)
    found = parts if isinstance(parts, dict) else {}
    headers, properties = found.get("headers"), found.get("properties")
    return (
        headers if isinstance(headers, dict) else {},
        properties if isinstance(properties, dict) else {},
    )


def read_item(item: bytes, size: int | None = None) -> dict[str, Any]:
    """Return the message that an item is.

    Args:
        item: As it lies in the list.
        size: How many bytes it has there, if this is only its beginning.

    Raises:
        NotAMessageError: It is something else.
    """
    if (size := size or len(item)) > MAX_ITEM_BYTES:
        raise NotAMessageError(f"it is {size:,} bytes, more than {MAX_ITEM_BYTES:,}")
    if is_too_dense(item) and _are_too_dense(item):
        raise NotAMessageError(f"its headers may have more than {MAX_VALUES:,} values")
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
    headers = message.get("headers") or {}
    if "id" in headers:
        headers["id"] = id_as_text(headers["id"])
    return message


def _are_too_dense(item: bytes) -> bool:
    """Return whether it is not only the body, a text, that seems to have many values."""
    try:
        parts = _decode_parts(item)
    except (ValueError, RecursionError):
        return True
    return is_too_dense(bytes(parts.headers)) or is_too_dense(bytes(parts.properties))


def _decode(item: bytes) -> Any:
    # kombu's decoder knows types that JSON has not, and texts that are not Unicode.
    if b"__type__" not in item:
        with suppress(ValueError):
            return from_json(item)
    return loads(item, object_hook=_typed)


def _typed(value: dict[str, Any]) -> Any:
    try:
        return object_hook(value)
    except Exception:  # noqa: BLE001 - it looks like a mark of kombu's, and may mean nothing to us
        return value


def delivery_count(message: dict[str, Any]) -> int:
    """Return how often a worker died while it worked on a message."""
    count = (message.get("headers") or {}).get(DELIVERY_COUNT, 0)
    return count if type(count) is int else 0


def was_with_a_dead_worker(item: bytes) -> bool:
    """Return whether an item was put back, or looks as if it was; without reading it."""
    return item.startswith(_WITH_A_DEAD_WORKER)


def redelivered(item: bytes, *, deaths: int | None) -> tuple[bytes, dict[str, Any]]:
    """Return the item as it goes back to a queue, and the message that it is.

    What is not a message goes back as it is, for the fetch to set it aside.

    Args:
        item: What is held.
        deaths: How many to count, None if no worker died with it.
    """
    try:
        read_item(item)
        # Without kombu's types, to be written as it was.
        message = json.loads(item)
    except NotAMessageError:
        return item, {}
    headers = message["headers"] = message.get("headers") or {}
    headers["redelivered"] = True
    if deaths is not None:
        headers[DELIVERY_COUNT] = delivery_count(message) + deaths
    if DELIVERY_COUNT in headers:
        # Where it is looked for.
        message["headers"] = _with_first(DELIVERY_COUNT, headers)
        message = _with_first("headers", message)
    properties = message["properties"]
    properties["delivery_info"] = properties.get("delivery_info") or {}
    properties["delivery_info"]["redelivered"] = True
    return json.dumps(message).encode(), message


def _with_first(name: str, parts: dict[str, Any]) -> dict[str, Any]:
    return {name: parts[name], **parts}
