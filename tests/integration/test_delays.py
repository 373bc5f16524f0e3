"""Delayed messages in Redis: moved there and back on a real server, a step at a time."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import redis
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Consumer
from kombu.transport import redis as stock

from tests.service import eventually
from worker.transport.redis import Transport
from worker.transport.redis.keyspace import UNACKED
from worker.transport.redis.keyspace import UNACKED_INDEX as INDEX
from worker.transport.redis.scripts import DELAY, DUE

if TYPE_CHECKING:
    from collections.abc import Iterator

DELAYED = "q.delayed"
TAIL = ',"","q"]'
HOUR_SECONDS = 3_600


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """Give an empty Redis."""
    with redis.Redis.from_url(redis_url) as client:
        yield client
        client.config_set("maxmemory", 0)


def hold(client: Any, tag: str, item: bytes) -> None:
    """Hold an item as a fetch does."""
    client.hset(UNACKED, tag, b"[" + item + TAIL.encode())
    client.zadd(INDEX, {tag: time.time()})


def delay(client: Any, *delays: tuple[str, float, str]) -> list[bytes]:
    """Delay what is held, and return the tags of what stays held."""
    args = [part for each in delays for part in each]
    return list(client.eval(DELAY.text, 3, UNACKED, INDEX, DELAYED, TAIL, *args))


def release(client: Any, *lists: str, most: int = 100) -> int:
    """Release what is due, and return how much that was."""
    return int(client.eval(DUE.text, 1 + len(lists), DELAYED, *lists, most))


def everything(client: Any) -> dict[bytes, int]:
    """Return how much is where."""
    sizes = {b"list": client.llen, b"hash": client.hlen, b"zset": client.zcard}
    return {key: sizes[client.type(key)](key) for key in client.scan_iter()}


def test_what_is_delayed_is_held_by_nobody_and_comes_back_as_it_was(client: Any) -> None:
    """In one step each way, though it be no JSON at all."""
    item = b'{"odd": "\\u0000 \x00\xff", [1e400'
    hold(client, "one", item)
    assert delay(client, ("one", HOUR_SECONDS, "q")) == []
    assert everything(client) == {b"q.delayed": 1}
    assert release(client, "q") == 0
    client.zadd(DELAYED, {client.zrange(DELAYED, 0, 0)[0]: 1})
    assert release(client, "q") == 1
    assert everything(client) == {b"q": 1}
    assert client.lrange("q", 0, -1) == [item]


def test_two_of_the_same_item_stay_two(client: Any) -> None:
    """Somebody sent it twice, and is answered twice."""
    for tag in ("one", "two"):
        hold(client, tag, b"same")
    delay(client, ("one", -1, "q"), ("two", -1, "q"))
    assert client.zcard(DELAYED) == 2
    assert release(client, "q") == 2
    assert client.lrange("q", 0, -1) == [b"same"] * 2


def test_what_is_not_held_any_more_is_left_alone(client: Any) -> None:
    """It was acknowledged, or another worker has it."""
    assert delay(client, ("gone", -1, "q")) == []
    assert everything(client) == {}


def test_what_cannot_be_moved_stays_held(client: Any) -> None:
    """Somebody else has the key, or the entry is not one of this queue's."""
    hold(client, "one", b"item")
    client.hset(UNACKED, "strange", "not an entry")
    client.zadd(INDEX, {"strange": 1})
    assert delay(client, ("strange", 1, "q"), ("one", 1, "q")) == [b"strange"]
    client.delete(DELAYED)
    hold(client, "one", b"item")
    client.set(DELAYED, "somebody else's")
    assert delay(client, ("one", 1, "q")) == [b"one"]
    assert sorted(client.hkeys(UNACKED)) == [b"one", b"strange"]


def test_it_works_at_the_memory_limit(client: Any) -> None:
    """It frees as much as it takes."""
    hold(client, "one", b"item")
    client.config_set("maxmemory", 1)
    assert delay(client, ("one", -1, "q")) == []
    assert release(client, "q") == 1
    assert everything(client) == {b"q": 1}


def test_the_one_that_was_due_first_is_fetched_first_and_a_step_is_bounded(client: Any) -> None:
    """Behind what waits already, as if it were sent now."""
    client.lpush("q", "waits")
    for number in range(5):
        hold(client, f"tag-{number}", b"%d" % number)
    delay(client, *((f"tag-{number}", number - 10.0, "q") for number in reversed(range(5))))
    assert release(client, "q", most=2) == 2
    assert client.lrange("q", 0, -1)[::-1] == [b"waits", b"0", b"1"]
    assert release(client, "q") == 3


def test_about_a_mebibyte_ends_a_step(client: Any) -> None:
    """So that Redis is not kept from others by large messages."""
    for number in range(5):
        hold(client, f"tag-{number}", b"x" * 2**19)
        delay(client, (f"tag-{number}", -1, "q"))
    assert [release(client, "q") for _ in range(4)] == [2, 2, 1, 0]


def test_each_goes_to_the_list_that_it_came_from(client: Any) -> None:
    """By its priority, or as a suspect; to the first if that list is none of the queue's."""
    lists = ("q", "q\x06\x163", "q.retry")
    for list_ in (*lists, "elsewhere"):
        hold(client, list_, list_.encode())
        delay(client, (list_, -1, list_))
    assert release(client, *lists) == 4
    assert [client.lrange(list_, 0, -1) for list_ in lists] == [
        [b"elsewhere", b"q"],
        [b"q\x06\x163"],
        [b"q.retry"],
    ]


def test_one_that_is_not_taken_is_in_nobodys_way(client: Any) -> None:
    """What somebody else put there is set aside where it is fetched."""
    client.set("q\x06\x163", "somebody else's")
    for tag, list_ in (("one", "q\x06\x163"), ("two", "q")):
        hold(client, tag, tag.encode())
        delay(client, (tag, -1, list_))
    client.zadd(DELAYED, {b"rubbish": 1})
    assert release(client, "q", "q\x06\x163") == 2
    assert client.lrange("q", 0, -1) == [b"two", b"rubbish"]
    assert client.zcard(DELAYED) == 1


@contextmanager
def consuming(url: str, **options: Any) -> Iterator[tuple[Any, Any, list[Any]]]:
    """Consume from a queue by our transport."""
    got: list[Any] = []
    with Connection(url, transport=Transport, transport_options=options) as connection:
        channel = connection.channel()
        queue = Queue("q", Exchange(""), routing_key="q")
        consumer = Consumer(channel, [queue], on_message=got.append)
        consumer.qos(prefetch_count=0)
        consumer.consume()
        yield connection, channel, got


def turn_until(connection: Any, holds: Any) -> None:
    """Turn the loop until something holds."""

    def turn() -> bool:
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.05)
        return bool(holds())

    eventually(turn)


@pytest.mark.parametrize("prefix", ["", "app:"])
@pytest.mark.parametrize("priority", [0, 3])
def test_a_channel_delays_what_it_fetched(
    redis_url: str, client: Any, prefix: str, priority: int
) -> None:
    """It is back when it is due, though every script was forgotten, and from another worker too."""
    options = {"global_keyprefix": prefix}
    with Connection(redis_url, transport=stock.Transport, transport_options=options) as connection:
        producer = connection.Producer()
        producer.publish("a", routing_key="q", exchange="", priority=priority)
    (key,) = [key for key in client.scan_iter() if b"_kombu" not in key]
    (item,) = client.lrange(key, 0, -1)
    with consuming(redis_url, **options) as (connection, channel, got):
        turn_until(connection, lambda: got)
        channel.delay(got[0].delivery_tag, got[0].source, 0.3, pytest.fail)
        client.script_flush()
        turn_until(connection, lambda: client.zcard(f"{prefix}q.delayed"))
        assert not client.exists(f"{prefix}{UNACKED}", f"{prefix}{INDEX}", key)
    with consuming(redis_url, **options) as (connection, channel, again):
        client.script_flush()
        turn_until(connection, lambda: again)
        (held,) = client.hvals(f"{prefix}{UNACKED}")
        assert held == b"[" + item + TAIL.encode()
        channel.basic_ack(again[0].delivery_tag)
    assert not client.exists(f"{prefix}q.delayed")


def test_what_redis_does_not_take_stays_here(redis_url: str, client: Any) -> None:
    """And its channel says so."""
    client.set(DELAYED, "somebody else's")
    with Connection(redis_url, transport=stock.Transport) as connection:
        connection.Producer().publish("a", routing_key="q", exchange="")
    stayed: list[str] = []
    with consuming(redis_url) as (connection, channel, got):
        turn_until(connection, lambda: got)
        channel.delay(got[0].delivery_tag, got[0].source, 0.3, partial(stayed.append, "a"))
        channel.move_delayed()
        assert (stayed, client.hlen(UNACKED)) == (["a"], 1)
        client.delete(DELAYED)
