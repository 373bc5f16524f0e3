"""What may wait for a worker, made to take much memory: few messages or many, small or large.

Each is what somebody may send, by mistake or on purpose. Items are as a Celery client
lays them into a list of Redis.
"""

from __future__ import annotations

import base64
import bz2
import json
import random
import uuid
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from settle_client.names import QUEUE, TASK
from tasks.messages import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UPDATE = {"id": "ev_0", "status": "completed"}
MEBIBYTE = 2**20
# What bzip2 makes of it is a few hundred bytes.
BOMB_BYTES = 2**27


class Backlog(NamedTuple):
    """What waits.

    Attributes:
        name: In words.
        items: Makes its items, the first to be fetched first.
        in_words: How many messages of what.
    """

    name: str
    items: Callable[[], Iterator[bytes]]
    in_words: str


def item(body: bytes, message_id: str = "", **headers: Any) -> bytes:
    """Make an item of a queue."""
    id_ = str(uuid.uuid4())
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"id": message_id or id_, "task": TASK, "ignore_result": True, **headers},
            "properties": {
                "delivery_tag": id_,
                "body_encoding": "base64",
                "delivery_info": {"exchange": "", "routing_key": QUEUE},
            },
        }
    ).encode()


@cache
def one(payload: int = 0) -> bytes:
    """Return the body of one update, with so many bytes that are ignored."""
    return json.dumps([[], {**UPDATE, "payload": "x" * payload}, {}]).encode()


@cache
def many(payload: int = 0) -> bytes:
    """Return the body of 1,000 updates, each with so many bytes that are ignored."""
    updates = [
        {**UPDATE, "id": f"ev_{number}", "payload": "x" * payload} for number in range(1_000)
    ]
    return json.dumps([[updates], {}, {}]).encode()


@cache
def bzip2(body: bytes) -> bytes:
    """Compress a body, once."""
    return bz2.compress(body)


def compressed(body: bytes) -> bytes:
    """Make an item whose body is compressed."""
    return item(bzip2(body), compression="application/x-bz2")


def times(count: int, make: Callable[[], bytes]) -> Iterator[bytes]:
    """Make so many items."""
    return (make() for _ in range(count))


def mixed(large: bytes) -> Iterator[bytes]:
    """Make items of which the first are small, so that many of them are fetched."""
    yield from times(520, lambda: item(one()))
    yield from times(480, lambda: item(large))


def rubbish() -> bytes:
    """Make an item whose body is as large as it may be, and means nothing."""
    return item(b"\xff" + random.Random(3).randbytes(MAX_BODY_BYTES - 1))


def odd(count: int) -> tuple[Backlog, ...]:
    """Return what is odd, so many times where that is a matter of patience."""
    return (
        Backlog("mixed", lambda: mixed(many()), "520 messages of one update, then 480 of 1,000"),
        Backlog("large", lambda: mixed(one(1_000_000)), "520 small messages, then 480 of 1 MB"),
        Backlog(
            "expanding",
            lambda: times(2 * count, lambda: compressed(one(7 * MEBIBYTE))),
            f"{2 * count} compressed messages of 7 MiB",
        ),
        Backlog(
            "compressed",
            lambda: times(count, lambda: compressed(many(4_000))),
            f"{count} compressed messages of 1,000 updates",
        ),
        Backlog(
            "bombs",
            lambda: times(2 * count, lambda: compressed(bytes(BOMB_BYTES))),
            f"{2 * count} bombs of 128 MiB",
        ),
        Backlog(
            "rubbish",
            lambda: times(count // 2, rubbish),
            f"{count // 2} bodies of 8 MiB that are no JSON",
        ),
        Backlog(
            "ids",
            lambda: times(count // 10, lambda: item(many(), "m" * 200_000)),
            f"{count // 10} messages of 1,000 updates with an id of 200 kB",
        ),
    )


def ordinary(messages: int, bulk: int) -> tuple[Backlog, ...]:
    """Return what every day brings, as many messages of one update and of 1,000."""
    return (
        Backlog(
            "single",
            lambda: times(messages, lambda: item(one())),
            f"{messages:,} messages of one update",
        ),
        Backlog(
            "bulk",
            lambda: times(bulk, lambda: item(many())),
            f"{bulk:,} messages of 1,000 updates",
        ),
    )
