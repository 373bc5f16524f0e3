"""One delivery as RabbitMQ pushed it, of which nothing is read before it is asked for."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from amqp.basic_message import Message
from kombu.transport import pyamqp

from worker.transport.delivery import Headers, Shown, Stock
from worker.transport.rabbitmq.delay_queues import RETURNS
from worker.transport.rabbitmq.properties import read, text_of
from worker.transport.rabbitmq.shapes import Shapes

_headers, _shown = Shapes(Headers), Shapes(Shown)


class Way(NamedTuple):
    """How a message came."""

    redelivered: bool
    exchange: str
    routing_key: str


class Pushed(NamedTuple):
    """What is in the frames of one delivery.

    Attributes:
        tag: Its delivery tag.
        encoded_way: How it came, as it is encoded.
        properties: As they are encoded.
        body: As it was sent.
    """

    tag: int
    encoded_way: bytes
    properties: bytes
    body: bytes

    @property
    def byte_count(self) -> int:
        """Return how much memory it takes while it is held, about."""
        return len(self.properties) + len(self.body)

    def headers(self) -> dict[str, Any]:
        """Return its headers, empty if they are none."""
        properties, _ = read(self.properties, 0)
        return properties.get("application_headers") or {}

    @property
    def way(self) -> Way:
        """Return how it came."""
        return read_way(self.encoded_way)

    def content(self) -> Message:
        """Return what py-amqp makes of it, before it knows how it came."""
        content = Message(self.body)
        content.properties, _ = read(self.properties, 0)
        return content

    def to_message(self, channel: Any) -> Any:
        """Return it as kombu makes it of what py-amqp delivers."""
        content = self.content()
        content.channel = channel
        content.delivery_info = {"delivery_tag": self.tag, **self.way._asdict()}
        return pyamqp.Message(content, channel=channel)

    def read(self, *, shown: bool) -> Stock | None:
        """Take it apart, None if it is not what a stock client sends.

        Args:
            shown: Whether monitors want to show it.
        """
        redelivered, exchange, routing_key = self.way
        if redelivered or exchange in RETURNS:
            return None
        try:
            headers = (_shown if shown else _headers).read(self.properties)
        except ValueError:
            return None
        return Stock(headers, self.body, routing_key, exchange)


# Nearly all messages come in the same way.
@lru_cache(maxsize=64)
def read_way(encoded: bytes) -> Way:
    """Read how a message came.

    Raises:
        ValueError: It is not encoded as it should be.
    """
    exchange_ends = 2 + encoded[1]
    routing_key_ends = exchange_ends + 1 + encoded[exchange_ends]
    if routing_key_ends != len(encoded):
        raise ValueError("longer than it says")
    exchange, routing_key = encoded[2:exchange_ends], encoded[exchange_ends + 1 :]
    return Way(bool(encoded[0] & 1), text_of(exchange), text_of(routing_key))
