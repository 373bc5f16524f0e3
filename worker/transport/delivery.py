"""What a broker delivers, as the stages after this one see it, however it was read.

A delivery is either raw, as bytes from which a plain message can be read directly,
or a message as kombu makes it. What is in it is understood elsewhere.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import Raw, field

from settle_client.names import SENT_AT

# Of what is looked at: a body of eight mebibytes, in base 64, and its headers.
MAX_ITEM_BYTES = 12 * 2**20
# Of what is written down of a delivery.
MAX_NAME_CHARACTERS = 255
MAX_COUNT = 1_000_000
# How often a worker died while it worked on a message.
DELIVERY_COUNT = "x-delivery-count"
# In the place of headers that nobody could read; says why.
UNREADABLE = "x-settle-unreadable"


class Delivery(Protocol):
    """One message of a broker's, not yet acknowledged."""

    @property
    def tag(self) -> Any:
        """Return what the broker knows it by."""
        ...

    @property
    def byte_count(self) -> int:
        """Return how much memory it takes while it is held, about."""
        ...

    def headers(self) -> dict[str, Any]:
        """Return its headers, empty if they are none."""
        ...

    def to_message(self, channel: Any) -> Any:
        """Return it as a `kombu.Message`, for what only Celery knows.

        Args:
            channel: The one that it came by.
        """
        ...


class Headers(msgspec.Struct):
    """The headers that decide whether a message is plain."""

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


class Shown(Headers):
    """What monitors show of a message as well: JSON as it came, for nobody here reads it."""

    argsrepr: Raw = Raw(b'""')
    kwargsrepr: Raw = Raw(b'""')
    root_id: Raw = Raw(b"null")
    parent_id: Raw = Raw(b"null")
    retries: Raw = Raw(b"0")


class Stock(NamedTuple):
    """What a stock client sends, taken apart.

    Attributes:
        headers: `Shown` where that was asked for.
        body: JSON text.
        queue: Where it lay.
        exchange: By which it came there.
    """

    headers: Headers
    body: bytes
    queue: str
    exchange: str


class RawDelivery(Delivery, Protocol):
    """A delivery of which kombu has made nothing."""

    def read(self, *, shown: bool) -> Stock | None:
        """Take it apart, None if it is not what a stock client sends.

        Args:
            shown: Whether monitors want to show it.
        """
        ...


class Received:
    """A delivery as kombu makes it, or something that stands in for one."""

    __slots__ = ("message",)

    def __init__(self, message: Any) -> None:
        """Wrap what has the attributes of a `kombu.Message`."""
        self.message = message

    @property
    def tag(self) -> Any:
        """Return its delivery tag."""
        return self.message.delivery_tag

    @property
    def given_up(self) -> str:
        """Return why the transport delivers it for the last time, empty if it does not."""
        return getattr(self.message, "given_up", "")

    @property
    def byte_count(self) -> int:
        """Return how much memory it takes while it is held, about: its body is forgotten."""
        return sum(map(_header_size, self.headers().values()))

    def headers(self) -> dict[str, Any]:
        """Return its headers, empty if they are none."""
        return _mapping(self.message.headers)

    def to_message(self, channel: Any) -> Any:
        """Return the message that it is."""
        return self.message

    def properties(self) -> dict[str, Any]:
        """Return its properties, empty if they are none."""
        return _mapping(self.message.properties)

    def forget_body(self) -> None:
        """Keep no body, which may be as large expanded as it was small at the broker."""
        # The traceback of an error has what a decoder was about, and refers to itself.
        for _, error, _ in getattr(self.message, "errors", None) or ():
            error.__traceback__ = None
        self.message.body, self.message.errors = b"", []

    def details(self) -> dict[str, Any]:
        """Return how it came; see `delivery_details`."""
        info, headers = _mapping(self.message.delivery_info), self.headers()
        return delivery_details(
            info.get("routing_key"),
            info.get("exchange"),
            redelivered=bool(info.get("redelivered") or headers.get("redelivered")),
            deliveries=headers.get(DELIVERY_COUNT, 0),
        )


class SetAside:
    """Stands in for the message that a broker's transport could not, or would not, deliver.

    It is an item of the queue that is no message, or one that has been with too
    many workers that died.
    """

    content_type = content_encoding = None

    def __init__(
        self,
        item: bytes,
        queue: str,
        tag: str,
        headers: dict[str, Any],
        properties: dict[str, Any],
        byte_count: int,
    ) -> None:
        """Stand in for an item.

        Args:
            item: As it lay in the queue, or its beginning.
            queue: Its name.
            tag: By which it is acknowledged.
            headers: As far as they can be read.
            properties: The same.
            byte_count: How large it was there.
        """
        self.body, self.delivery_tag, self.byte_count = item, tag, byte_count
        self.errors: list[Any] = []
        self.headers, self.properties = headers, properties
        self.delivery_info = {"routing_key": queue, "redelivered": False}


def delivery_details(
    queue: Any, exchange: Any, *, redelivered: bool = False, deliveries: Any = 0
) -> dict[str, Any]:
    """Write down how a message came, for its dead letter.

    Args:
        queue: Where it lay.
        exchange: By which it came there.
        redelivered: Whether it came before.
        deliveries: To how many workers that died.
    """
    return {
        "queue": cut_text(queue),
        "exchange": cut_text(exchange),
        "redelivered": redelivered,
        "deliveriesToDeadWorkers": _count(deliveries),
    }


def size_of(body: Any) -> int:
    """Return how large a body is, 0 if it is none."""
    return len(body) if isinstance(body, str | bytes | bytearray | memoryview) else 0


def _header_size(value: Any) -> int:
    if value is None or isinstance(value, int | float):
        return 0
    return len(value) if isinstance(value, str | bytes) else _nested_size(value)


def _nested_size(value: Any) -> int:
    try:
        return len(str(value))
    except Exception:  # noqa: BLE001 - nested too deeply, which nothing large can be
        return 0


def cut_text(value: Any) -> str | None:
    """Return a name as it is written down: anybody can send anything, of any length."""
    return value[:MAX_NAME_CHARACTERS] if isinstance(value, str) else None


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < MAX_COUNT else 0


def sent_at(headers: dict[str, Any]) -> float | None:
    """Return when a message was sent, in seconds since the epoch, if its producer says so.

    A message of Celery's carries no time. Ours do, and any client's may.
    """
    said = headers.get(SENT_AT)
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    # JSON has numbers of any length; a number that is none is in no range.
    return float(said) if 0 < said <= sys.float_info.max else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
