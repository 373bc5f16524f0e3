"""Plain messages, read straight from what lies in a queue of Redis.

Nearly every message is plain: what a stock Celery client sends when it asks for
nothing special, here for the first time, its updates valid. Such a message needs
nothing of kombu's or Celery's, whose objects cost several times what is done with
it. Whatever is not plain in any way is left to them, and to `worker.understanding.receiving`;
what is answered is the same either way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Raw, field

from settle_client.names import TASK
from tasks.errors import NotUnderstoodError
from tasks.messages import InvalidUpdate, Message, read_message
from worker.transport.redis.items import DELIVERY_COUNT, MAX_ITEM_BYTES


class Plain(NamedTuple):
    """A plain message.

    Attributes:
        message: Its updates, all of them valid.
        wants_result: Whether the producer asked for a Celery result.
        delivery: How it came; shared by all that came in the same way.
        shown: What monitors show of it, where that was asked for.
    """

    message: Message
    wants_result: bool
    delivery: dict[str, Any]
    shown: Shown | None = None


class _Headers(msgspec.Struct):
    task: str
    id: str
    ignore_result: Any = None
    # With any of these it is not plain.
    eta: Any = None
    expires: Any = None
    stamped_headers: Any = None
    compression: Any = None
    redelivered: Any = None
    deliveries: Any = field(name=DELIVERY_COUNT, default=None)

    @property
    def ask_for_nothing(self) -> bool:
        """Return whether there is nothing for Celery to see to."""
        return self.task == TASK and not (
            self.eta
            or self.expires
            or self.stamped_headers
            or self.compression
            or self.redelivered
            or self.deliveries
        )


class _DeliveryInfo(msgspec.Struct):
    exchange: str
    routing_key: str


class _Properties(msgspec.Struct):
    delivery_tag: str
    body_encoding: Literal["base64"]
    delivery_info: _DeliveryInfo


class _Item(
    msgspec.Struct, rename={"content_type": "content-type", "content_encoding": "content-encoding"}
):
    body: bytes
    headers: _Headers
    properties: _Properties
    content_type: Literal["application/json"]
    content_encoding: Literal["utf-8"]


class Shown(_Headers):
    """What monitors show of a message: JSON as it came, for nobody here reads it."""

    argsrepr: Raw = Raw(b'""')
    kwargsrepr: Raw = Raw(b'""')
    root_id: Raw = Raw(b"null")
    parent_id: Raw = Raw(b"null")
    retries: Raw = Raw(b"0")


class _ShownItem(_Item):
    headers: Shown


_decode = msgspec.json.Decoder(_Item).decode
_decode_shown = msgspec.json.Decoder(_ShownItem).decode


def read_plain(item: bytes, *, max_updates: int, shown: bool = False) -> Plain | None:
    """Read a message, if it is plain.

    Args:
        item: As it lies in the list.
        max_updates: How many updates a message may carry.
        shown: Whether a monitor wants to show it.

    Returns:
        None if it is not plain, whatever else it may be.
    """
    if len(item) > MAX_ITEM_BYTES:
        return None
    try:
        read = _decode_shown(item) if shown else _decode(item)
        headers = read.headers
        if not (headers.ask_for_nothing and read.properties.delivery_tag):
            return None
        message = read_message(headers.id, read.body, max_updates=max_updates)
    except (ValueError, RecursionError, NotUnderstoodError):
        return None
    if any(type(update) is InvalidUpdate for update in message.updates):
        return None
    info = read.properties.delivery_info
    delivery = _delivery(info.routing_key, info.exchange)
    return Plain(
        message,
        not headers.ignore_result,
        delivery,
        headers if isinstance(headers, Shown) else None,
    )


@lru_cache(maxsize=64)
def _delivery(queue: str, exchange: str) -> dict[str, Any]:
    # As `worker.understanding.receiving.delivery_details` has it.
    return {
        "queue": queue,
        "exchange": exchange,
        "redelivered": False,
        "deliveriesToDeadWorkers": 0,
    }
