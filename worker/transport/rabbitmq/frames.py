"""Deliveries taken straight from the bytes of a connection, in one pass.

What RabbitMQ delivers are three frames: a method that says whose it is, a header with
the properties, and the body (AMQP 0-9-1, 2.3.5 and 4.2). py-amqp reads them one by one and
makes several objects of them. Here they are cut out of what has arrived where they follow
each other whole; everything else is left, for py-amqp to read. Pure.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from worker.transport.rabbitmq.pushed import Pushed

if TYPE_CHECKING:
    from collections.abc import Iterable

METHOD, HEADER, BODY = b"\x01", b"\x02", b"\x03"
FRAME_END = 0xCE
# Type, channel, size; then the payload and an octet that ends it.
START = Struct(">BHI")
AROUND_BYTES = START.size + 1
# A frame of Basic.Ack: class, method, tag, and whether it stands for all before.
ACK, BASIC_ACK = Struct(">BHIHHQ?B"), (60, 80)
# Class and method of Basic.Deliver; class of the header, and its weight.
DELIVER, OF_BASIC = b"\x00\x3c\x00\x3c", b"\x00\x3c\x00\x00"
# In the header before the properties.
BEFORE_PROPERTIES = 12
TAG_BYTES = 8


class Cutter:
    """Cuts the deliveries to one consumer out of the bytes of its connection."""

    def __init__(self, channel: int, consumer_tag: bytes) -> None:
        """Look for what is delivered to a consumer on a channel."""
        self.consumer_tag = consumer_tag.decode()
        number = channel.to_bytes(2)
        self._method, self._header, self._body = (kind + number for kind in (METHOD, HEADER, BODY))
        self._deliver = DELIVER + bytes([len(consumer_tag)]) + consumer_tag

    def cut(self, data: bytes, start: int = 0) -> tuple[list[Pushed], int]:
        """Cut out the deliveries that stand first, each of which has one body frame.

        Args:
            data: As it arrived.
            start: Where a frame begins.

        Returns:
            Also where they end.
        """
        pushed: list[Pushed] = []
        starts_with, deliver = data.startswith, self._deliver
        size_at, head, tagged = START.size - 4, START.size, START.size + len(deliver)
        end = len(data)
        while starts_with(self._method, start) and starts_with(deliver, start + head):
            header = start + AROUND_BYTES + int.from_bytes(data[start + size_at : start + head])
            if not starts_with(self._header, header):
                break
            size = int.from_bytes(data[header + size_at : header + head])
            body = header + AROUND_BYTES + size
            if not starts_with(self._body, body) or not starts_with(OF_BASIC, header + head):
                break
            size = int.from_bytes(data[body + size_at : body + head])
            after = body + AROUND_BYTES + size
            is_whole = after <= end and size == int.from_bytes(
                data[header + head + 4 : header + head + BEFORE_PROPERTIES]
            )
            if not is_whole or not (
                data[header - 1] == data[body - 1] == data[after - 1] == FRAME_END
            ):
                break
            tag_at = start + tagged
            pushed.append(
                Pushed(
                    int.from_bytes(data[tag_at : tag_at + TAG_BYTES]),
                    data[tag_at + TAG_BYTES : header - 1],
                    data[header + head + BEFORE_PROPERTIES : body - 1],
                    data[body + head : after - 1],
                )
            )
            start = after
        return pushed, start

    def awaits(self, data: bytes, start: int, most_bytes: int) -> bool:
        """Return whether what stands first may be a delivery of which more is to arrive.

        Args:
            data: As it arrived.
            start: Where a frame begins.
            most_bytes: How large a frame may be.
        """
        if not (
            data.startswith(self._method, start)
            and data.startswith(self._deliver, start + START.size)
        ):
            return False
        header = start + AROUND_BYTES + _size(data, start)
        if len(data) < header + START.size + BEFORE_PROPERTIES:
            return True
        size = int.from_bytes(
            data[header + START.size + 4 : header + START.size + BEFORE_PROPERTIES]
        )
        after = header + 2 * AROUND_BYTES + _size(data, header) + size
        is_one_frame = 0 < size <= most_bytes - AROUND_BYTES
        return is_one_frame and data.startswith(self._header, header) and len(data) < after


def acknowledgements(channel: int, answers: Iterable[tuple[int, bool]]) -> bytes:
    """Return the frames that acknowledge deliveries.

    Args:
        channel: Its number.
        answers: Pairs of a tag and whether it stands for all that came before it.
    """
    return b"".join(
        ACK.pack(1, channel, ACK.size - AROUND_BYTES, *BASIC_ACK, tag, multiple, FRAME_END)
        for tag, multiple in answers
    )


def consumer_tag_of(data: bytes, start: int, channel: int) -> bytes:
    """Return to whom what stands first is delivered, nothing if it is no delivery on a channel.

    Args:
        data: As it arrived.
        start: Where a frame begins.
        channel: Its number.
    """
    tag_at = start + START.size + len(DELIVER)
    is_deliver = data.startswith(METHOD + channel.to_bytes(2), start)
    if not is_deliver or not data.startswith(DELIVER, start + START.size) or tag_at >= len(data):
        return b""
    return data[tag_at + 1 : tag_at + 1 + data[tag_at]]


def _size(data: bytes, start: int) -> int:
    return int.from_bytes(data[start + START.size - 4 : start + START.size])
