"""The frames of AMQP deliveries, written by py-amqp itself."""

from __future__ import annotations

from typing import Any

from amqp import spec
from amqp.basic_message import Message
from amqp.method_framing import frame_writer
from amqp.serialization import dumps

FRAME_MAX = 131_072


class _Written:
    """Stands in for a connection and its transport: keeps what is written."""

    frame_max, bytes_sent = FRAME_MAX, 0

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: Any) -> None:
        self.data += bytes(data)


def deliver(
    body: bytes,
    *,
    tag: int = 1,
    consumer_tag: str = "None1",
    redelivered: bool = False,
    exchange: str = "",
    routing_key: str = "q",
    channel: int = 1,
    **properties: Any,
) -> bytes:
    """Write the frames of a delivery."""
    way = (consumer_tag, tag, redelivered, exchange, routing_key)
    return method(spec.Basic.Deliver, "sLbss", way, Message(body, **properties), channel)


def method(
    signature: tuple[int, int], kinds: str, values: Any, content: Any = None, channel: int = 1
) -> bytes:
    """Write the frame of a method, and of its content."""
    written: Any = _Written()
    frame_writer(written, written)(1, channel, signature, dumps(kinds, values), content)
    data: bytes = written.data
    return data


HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
