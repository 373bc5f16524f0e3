"""Properties of messages that py-amqp writes, and cannot read."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import amqp

from settle_client.names import TASK

if TYPE_CHECKING:
    from collections.abc import Iterator

DEEP = 2_000
HEADERS = {"id": "hostile", "task": TASK}


class NotUtf8(str):
    """A text that is written as no text."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        """Return what is not UTF-8."""
        return b"\xff\xfe"


class FarAway(datetime):
    """A time that no calendar of Python's has."""

    def utctimetuple(self) -> Any:
        """Return a day long after the year 9999."""
        return (9_999, 1, 10**7, 0, 0, 0, 0, 1, 0)


def unreadable() -> list[dict[str, Any]]:
    """Return properties that py-amqp cannot read."""
    nested: Any = []
    for _ in range(DEEP):
        nested = [nested]
    return [
        {"application_headers": {**HEADERS, "odd": odd}}
        for odd in (nested, FarAway(2000, 1, 1, tzinfo=UTC))
    ] + [{"application_headers": HEADERS, "content_type": NotUtf8("text")}]


def written(properties: dict[str, Any]) -> bytes:
    """Return properties as they are in a frame."""
    with writing_deeply():
        content: Any = amqp.Message(**properties)
        return bytes(content._serialize_properties())


@contextmanager
def writing_deeply() -> Iterator[None]:
    """Let this process write what is nested deep."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
