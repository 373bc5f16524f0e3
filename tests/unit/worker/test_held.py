"""What is held, and how much more may be."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from worker.batching.room import MAX_BYTES, NOTHING, OVERFULL, Amount, Room
from worker.transport.delivery import Received, SetAside
from worker.transport.redis.items import salvage
from worker.understanding.other import refuse


def updates(count: int) -> Amount:
    """Say how much so many updates are that weigh nothing."""
    return Amount(count, 0)


def test_room_begins_as_if_every_message_were_as_large_as_it_may_be() -> None:
    """The first fetch is small, whatever is waiting."""
    assert Room(max_updates=3_000, largest_message=1_000).messages(NOTHING) == 3


def test_room_grows_with_small_messages() -> None:
    """A few of them are enough to fetch many."""
    room = Room(max_updates=3_000, largest_message=1_000)
    for _ in range(100):
        room.learn([1], [1_000])
    assert room.messages(NOTHING) > 2_500
    assert room.messages(updates(2_990)) <= 10
    assert room.messages(updates(3_000)) == 0


def test_there_is_no_room_beyond_the_last() -> None:
    """Also where every message is of one update, and each counts."""
    room = Room(max_updates=10, largest_message=1)
    assert [room.messages(updates(held)) for held in (8, 9, 10, 11)] == [2, 1, 0, 0]


@pytest.mark.parametrize(
    ("large", "fit"),
    [(updates(1_000), 3), (Amount(1, MAX_BYTES // 4), 4)],
    ids=["updates", "bytes"],
)
def test_room_shrinks_with_large_messages(large: Amount, fit: int) -> None:
    """Bulk messages after single ones are soon fetched a few at a time."""
    room = Room(max_updates=3_000, largest_message=1)
    for _ in range(50):
        room.learn([large.updates], [large.bytes])
    assert room.messages(NOTHING) == fit


def test_there_is_no_room_for_more_bytes_either() -> None:
    """However few updates are held."""
    room = Room(max_updates=3_000, largest_message=1)
    room.learn([1], [1_000])
    assert room.messages(Amount(1, MAX_BYTES - 100)) <= 1
    assert room.messages(Amount(1, MAX_BYTES)) == 0


def test_there_is_always_room_for_one_message() -> None:
    """However large: otherwise it would never be fetched."""
    room = Room(max_updates=10, largest_message=1_000)
    assert room.messages(NOTHING) == 1
    assert room.messages(updates(1)) == 0
    room.learn([1], [100 * MAX_BYTES])
    assert room.messages(NOTHING) == 1


def test_far_more_than_there_is_room_for_is_too_much() -> None:
    """A little more is no harm, for an estimate is never right."""
    room = Room(max_updates=10, largest_message=1)
    assert not room.is_overfull(Amount(10 * OVERFULL, MAX_BYTES * OVERFULL))
    assert room.is_overfull(updates(10 * OVERFULL + 1))
    assert room.is_overfull(Amount(1, MAX_BYTES * OVERFULL + 1))


@pytest.mark.parametrize("item", [b"", b"\xff", b"42", b'{"headers": 1}', b"[" * 100_000])
def test_anything_set_aside_can_be_answered(item: bytes) -> None:
    """It has no id then, and is kept as it came."""
    delivery = Received(SetAside(item, "q", "tag", *salvage(item), len(item)))
    message = refuse(delivery, "why")
    (update,) = message.updates
    assert message.id is None
    assert json.loads(update.raw)["body"] is not None  # type: ignore[union-attr]
    assert delivery.details()["queue"] == "q"


def test_a_message_that_was_with_dead_workers_keeps_its_id() -> None:
    """Its outcome is published under it, and the dead letter counts the deliveries."""
    item = b'{"headers": {"id": "m", "x-delivery-count": 6}, "properties": {}, "body": ""}'
    delivery = Received(SetAside(item, "q", "tag", *salvage(item), len(item)))
    assert refuse(delivery, "why").id == "m"
    assert delivery.details()["deliveriesToDeadWorkers"] == 6


@pytest.mark.parametrize(
    ("info", "headers"),
    [({"redelivered": True}, {}), ({}, {"redelivered": True})],
    ids=["the broker", "a worker"],
)
def test_a_message_that_comes_again_says_so(info: dict[str, Any], headers: dict[str, Any]) -> None:
    """Whoever gave it back: the broker itself, or a worker that stopped."""
    message = SimpleNamespace(delivery_info=info, headers=headers)
    assert Received(message).details()["redelivered"] is True


def test_a_message_without_an_id_is_known_by_its_correlation() -> None:
    """As a client of another kind may have sent it."""
    item = b'{"headers": {}, "properties": {"correlation_id": "c"}, "body": ""}'
    assert refuse(Received(SetAside(item, "q", "tag", *salvage(item), len(item))), "why").id == "c"


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        pytest.param({"argsrepr": "x" * 10_000, "eta": None, "retries": 3}, 10_000, id="text"),
        pytest.param({"stamps": {"tenant": ["x" * 10_000]}}, 10_000, id="nested"),
        pytest.param(None, 0, id="none"),
    ],
)
def test_a_message_takes_what_its_headers_take(headers: Any, least: int) -> None:
    """Of its body nothing is kept."""
    delivery = Received(SimpleNamespace(headers=headers, body=b"x" * 100_000))
    assert least <= delivery.byte_count <= least + 100
