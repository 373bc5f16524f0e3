"""The transport on a real server, with kombu's own as the producer and the neighbour."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from base64 import b64decode
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from kombu.asynchronous.hub import Hub
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Consumer
from kombu.transport import redis as stock
from redis import Redis as Client

from cli.embedded import Redis, temporary_folder
from tests.service import eventually
from worker.transport.broker import broker_of
from worker.transport.delivery import DELIVERY_COUNT
from worker.transport.redis import Transport
from worker.transport.redis import channel as transport_channel
from worker.transport.redis.keyspace import UNACKED, WORKED_ON
from worker.transport.redis.keyspace import UNACKED_INDEX as INDEX
from worker.transport.redis.scripts import FETCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_SECONDS = 20.0
CHANCE = random.Random(5)


class Ours(Transport):
    """With short leases."""

    class Channel(transport_channel.Channel):
        """The channel."""

        lease_seconds = 1
        unacked_restore_interval = 0.1  # type: ignore[assignment]


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with temporary_folder() as folder, Redis(folder / "redis") as server:
        yield server


@pytest.fixture
def client(server: Redis) -> Iterator[Client]:
    with Client.from_url(server.url) as client:
        client.flushall()
        yield client
        client.config_set("maxmemory", 0)


@contextmanager
def connected(server: Redis, transport: Any = Ours, **options: Any) -> Iterator[Any]:
    # `transport` as a class: the aliases of the test process stay kombu's.
    connection = Connection(server.url, transport=transport, transport_options=options)
    try:
        yield connection
    finally:
        connection.release()


@contextmanager
def consuming(
    server: Redis, *queues: str, transport: Any = Ours, prefetch: int = 0, **options: Any
) -> Iterator[tuple[Any, Any, list[Any]]]:
    with connected(server, transport, **options) as connection:
        got: list[Any] = []
        channel = connection.channel()
        consumer = Consumer(
            channel, [declared(name) for name in queues or ("q",)], on_message=got.append
        )
        consumer.qos(prefetch_count=prefetch)
        consumer.consume()
        yield connection, channel, got


def declared(name: str) -> Queue:
    return Queue(name, Exchange(""), routing_key=name)


def publish(server: Redis, *bodies: Any, queue: str = "q", **options: Any) -> None:
    priority = options.pop("priority", 0)
    with connected(server, stock.Transport, **options) as connection:
        producer = connection.Producer()
        for body in bodies:
            producer.publish(body, routing_key=queue, exchange="", priority=priority)


def turn_until(connection: Any, done: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not done():
        assert time.monotonic() < deadline, "it did not come to pass"
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.05)


def bodies(messages: list[Any]) -> list[Any]:
    return [message.payload for message in messages]


def left(client: Client, prefix: str = "") -> tuple[Any, ...]:
    return (
        client.hlen(f"{prefix}{UNACKED}"),
        client.zcard(f"{prefix}{INDEX}"),
        client.llen(f"{prefix}q"),
    )


def die(channel: Any) -> None:
    """Let a channel stop as a killed process does: silently."""
    channel.connection.cycle.discard(channel)
    channel._qos._on_collect.cancel()
    channel._qos._delivered.clear()
    channel._qos._dirty.clear()


# -- fetched ---------------------------------------------------------------------


def test_many_are_fetched_and_recorded_at_once(server: Redis, client: Client) -> None:
    """One fetch takes what there is room for, records it and says whether there is more."""
    publish(server, *range(30))
    with consuming(server, prefetch=20) as (connection, channel, got):
        connection.drain_events(timeout=WAIT_SECONDS)
        assert bodies(got) == list(range(20))
        assert left(client) == (20, 20, 10)
        assert channel.more_waiting
        channel.ack_many(message.delivery_tag for message in got)
        turn_until(connection, lambda: len(got) == 30)
        assert not channel.more_waiting
        assert bodies(got) == list(range(30))
        for message in got[20:]:
            message.ack()
    assert left(client) == (0, 0, 0)


def test_room_bounds_the_fetch(server: Redis, client: Client) -> None:
    """A consumer that says how much room it has is sent no more."""
    publish(server, *range(10))
    with consuming(server) as (connection, channel, got):
        channel.room = lambda: 4 - len(got)
        turn_until(connection, lambda: len(got) == 4)
        assert left(client) == (4, 4, 6)
        assert not channel.qos.can_consume()


def test_more_than_there_is_room_for_goes_back(server: Redis, client: Client) -> None:
    """What turns out to be far larger than it looked: the rest of a fetch, in its order."""
    publish(server, *range(5))
    with consuming(server) as (connection, channel, got):
        channel.room = lambda: 5 if len(got) < 2 else 0
        channel.is_overfull = lambda: len(got) >= 2
        turn_until(connection, lambda: left(client) == (2, 2, 3))
        assert bodies(got) == [0, 1]
        assert not channel.qos.can_consume()
    with consuming(server) as (connection, _channel, got):
        turn_until(connection, lambda: len(got) == 5)
        assert bodies(got) == list(range(5))


def test_what_is_on_its_way_is_read_though_there_is_no_room(server: Redis, client: Client) -> None:
    """It is held already: otherwise nobody would work on it, nor give it back."""
    client.script_load(FETCH.text)
    publish(server, 1)
    with consuming(server) as (connection, channel, got):
        connection.transport.cycle.on_poll_start()
        channel.room = lambda: 0
        assert channel.qos.can_consume()
        turn_until(connection, lambda: got)
        assert not channel.qos.can_consume()


def test_everything_fetched_is_held_whatever_a_callback_raises(
    server: Redis, client: Client
) -> None:
    """A callback that raises delays those behind it, and loses none."""
    publish(server, *range(5))
    with connected(server) as connection:
        got: list[Any] = []

        def receive(message: Any) -> None:
            got.append(message)
            if len(got) == 2:
                raise RuntimeError("on purpose")

        channel = connection.channel()
        Consumer(channel, [declared("q")], on_message=receive).consume()
        with pytest.raises(RuntimeError, match="on purpose"):
            turn_until(connection, lambda: len(got) == 5)
        assert len(channel.qos._delivered) == 5
        channel.room = lambda: 0
        assert channel.qos.can_consume()
        turn_until(connection, lambda: len(got) == 5)
        assert bodies(got) == list(range(5))
    assert left(client) == (0, 0, 5)


@pytest.mark.usefixtures("client")
def test_several_queues_all_have_their_turn(server: Redis) -> None:
    """A queue that never empties does not keep another waiting."""
    publish(server, *["a"] * 50, queue="a")
    publish(server, "b", queue="b")
    with consuming(server, "a", "b", prefetch=10) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 10)
        channel.ack_many([message.delivery_tag for message in got])
        turn_until(connection, lambda: len(got) == 20)
        assert "b" in bodies(got)


@pytest.mark.usefixtures("client")
def test_priorities_come_in_the_order_of_stock(server: Redis) -> None:
    """Both transports deliver the same order."""
    orders = []
    for transport in (stock.Transport, Ours):
        for priority in (9, 0, 6, 3, 0):
            publish(server, f"p{priority}", priority=priority)
        with consuming(server, transport=transport) as (connection, _channel, got):
            turn_until(
                connection,
                lambda: len(got) == 5,
            )
            orders.append(bodies(got))
            for message in got:
                message.ack()
    assert orders[0] == orders[1] == ["p0", "p0", "p3", "p6", "p9"]


def test_the_key_prefix_is_kept(server: Redis, client: Client) -> None:
    """With a prefix every key has it, and nothing is left over."""
    options: dict[str, Any] = {"global_keyprefix": "here:"}
    publish(server, *range(5), **options)
    with consuming(server, **options) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 5)
        assert left(client, "here:") == (5, 5, 0)
        channel.ack_many([message.delivery_tag for message in got[:3]])
        assert left(client, "here:") == (2, 2, 0)
    assert left(client, "here:") == (0, 0, 2)
    assert client.keys("[^h]*") == []


def test_what_is_not_acknowledged_is_not_recorded(server: Redis, client: Client) -> None:
    """A consumer without acknowledgements leaves nothing behind."""
    publish(server, *range(3))
    with connected(server) as connection:
        got: list[Any] = []
        consumer = Consumer(
            connection.channel(), [declared("q")], on_message=got.append, no_ack=True
        )
        consumer.consume()
        turn_until(connection, lambda: len(got) == 3)
        assert left(client) == (0, 0, 0)


def test_one_message_is_got(server: Redis, client: Client) -> None:
    """`basic_get` records like a fetch, and passes by what is no message."""
    publish(server, "one")
    client.rpush("q", "garbage")
    with connected(server) as connection:
        channel = connection.channel()
        message = channel.basic_get("q")
        assert message.payload == "one"
        assert left(client) == (1, 1, 0)
        message.ack()
        assert left(client) == (0, 0, 0)
        assert channel.basic_get("q") is None
        assert client.lrange("q.dead", 0, -1) == [b"garbage"]


def test_one_message_is_got_and_not_acknowledged(server: Redis, client: Client) -> None:
    """Then it is recorded nowhere, and no second one is taken with it."""
    publish(server, "one", "two")
    with connected(server) as connection:
        message = connection.channel().basic_get("q", no_ack=True)
        assert message.payload == "one"
        assert left(client) == (0, 0, 1)


def test_the_event_loop_delivers(server: Redis, client: Client) -> None:
    """The event loop, as in a worker, fetches, renews and does not mind an empty queue."""
    with consuming(server) as (connection, channel, got):
        hub = Hub()
        connection.transport.register_with_event_loop(connection.connection, hub)
        for part in range(3):
            publish(server, *range(part * 10, part * 10 + 10))
            deadline = time.monotonic() + WAIT_SECONDS
            while len(got) < part * 10 + 10 and time.monotonic() < deadline:
                hub.run_once()
        assert bodies(got) == list(range(30))
        channel.ack_many([message.delivery_tag for message in got])
        hub.close()
    assert left(client) == (0, 0, 0)


class Odd:
    """Something that only kombu's JSON can write."""

    def __json__(self) -> str:
        return "odd"


@pytest.mark.parametrize("prefix", ["", "here:"], ids=["no prefix", "prefix"])
@pytest.mark.usefixtures("client")
def test_whoever_listens_hears_of_a_fanout(server: Redis, prefix: str) -> None:
    """Task events and remote control are that: each listener has the message, once."""
    options: dict[str, Any] = {"global_keyprefix": prefix}
    with connected(server, **options) as connection, connected(server, **options) as other:
        heard: list[list[Any]] = [[], []]
        for each, got in ((connection, heard[0]), (other, heard[1])):
            queue = Queue(f"listener-{id(got)}", Exchange("news", "fanout"), auto_delete=True)
            Consumer(each.channel(), [queue], on_message=got.append).consume()
            # It listens from the first turn on.
            with suppress(TimeoutError):
                each.drain_events(timeout=0.05)
        producer = connection.Producer(exchange=Exchange("news", "fanout"))
        for number in range(2):
            producer.publish({"number": number}, headers={"plain": "text"})
        producer.publish({"number": 2}, headers={"odd": Odd()})
        with producer.batch():
            producer.publish({"number": 3}, headers={"odd": Odd()})
            producer.publish({"number": 4})
            # Together, once the block is left, or not at all.
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.05)
            assert not [body for body in bodies(heard[0]) if body["number"] > 2]
        for each, got in ((connection, heard[0]), (other, heard[1])):
            turn_until(each, partial(lambda got: len(got) == 5, got))
            assert bodies(got) == [{"number": number} for number in range(5)]
            assert [message.headers for message in got[2:4]] == [{"odd": "odd"}] * 2


@pytest.mark.usefixtures("client")
def test_it_is_known_whether_anybody_heard_of_a_fanout(server: Redis) -> None:
    """While somebody listens; who listens to something else does not count."""
    with connected(server) as connection, connected(server) as other:
        producer = connection.Producer(exchange=Exchange("news", "fanout"))
        publication = {"body": "news", "routing_key": "task.multi"}
        reaches = partial(broker_of(server.url).reaches, producer, publication)
        assert not reaches()
        for routing_key, is_heard in (("worker.#", False), ("#", True)):
            exchange = Exchange("news", "fanout")
            queue = Queue(f"of {routing_key}", exchange, routing_key, auto_delete=True)
            with Consumer(other.channel(), [queue]):
                with suppress(TimeoutError):
                    other.drain_events(timeout=0.05)
                assert reaches() is is_heard
        eventually(lambda: not reaches())


def test_the_script_is_sent_again_after_a_flush(server: Redis, client: Client) -> None:
    """A server that forgot the scripts, as after a restart, gets them again."""
    with consuming(server) as (connection, channel, got):
        for number in range(2):
            client.script_flush()
            publish(server, number)
            turn_until(connection, partial(lambda n: len(got) > n, number))
            client.script_flush()
            channel.qos._renew(time.monotonic())
    assert left(client) == (0, 0, 2)


# -- given back, renewed, restored -------------------------------------------------


@pytest.mark.usefixtures("client")
def test_closing_gives_back_in_order(server: Redis) -> None:
    """What is held is next in the queue again, in its order, as no failure."""
    publish(server, *range(1_200))
    with consuming(server, prefetch=1_100) as (connection, _channel, got):
        turn_until(connection, lambda: len(got) == 1_100)
    with consuming(server, prefetch=1_200) as (connection, _channel, got):
        turn_until(connection, lambda: len(got) == 1_200)
        assert bodies(got) == list(range(1_200))
        assert got[0].delivery_info["redelivered"]
        assert DELIVERY_COUNT not in got[0].headers
        assert "redelivered" not in got[-1].headers


@pytest.mark.parametrize("no_ack", [False, True], ids=["acknowledged", "not acknowledged"])
def test_what_comes_after_cancelling_goes_back(server: Redis, client: Client, no_ack: bool) -> None:
    """Messages on their way when their consumer is cancelled are not delivered, and not lost."""
    # Otherwise the first fetch brings nothing but that it is unknown.
    client.script_load(FETCH.text)
    with connected(server) as connection:
        channel = connection.channel()
        got: list[Any] = []
        consumer = Consumer(channel, [declared("q")], on_message=got.append, no_ack=no_ack)
        consumer.consume()
        # Before it is asked for: a wait that is over by then would bring nothing.
        publish(server, *range(3))
        connection.transport.cycle.on_poll_start()
        assert channel._in_poll
        consumer.cancel()
        turn_until(connection, lambda: not channel._in_poll)
        assert (got, left(client)) == ([], (0, 0, 3))
        first = json.loads(client.lindex("q", -1) or "{}")
        assert first["headers"].get("redelivered", False) is not no_ack
    with consuming(server) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 3)
        assert bodies(got) == list(range(3))


def test_what_comes_for_another_consumer_is_delivered(server: Redis, client: Client) -> None:
    """Though the first of it came for one that was cancelled."""
    client.script_load(FETCH.text)
    with consuming(server, "q", "other") as (connection, channel, got):
        connection.transport.cycle.on_poll_start()
        assert channel._in_poll
        (tag,) = (tag for tag, queue in channel._tag_to_queue.items() if queue == "q")
        channel.basic_cancel(tag)
        with client.pipeline() as pipe:
            for number, queue in enumerate(("q", "other", "q", "other")):
                pipe.lpush(queue, item(number))
            pipe.execute()
        turn_until(connection, lambda: len(got) == 2)
        assert bodies(got) == [1, 3]
        assert left(client) == (2, 2, 2)


def item(body: Any) -> str:
    """Write what a stock client pushes."""
    properties = {"delivery_tag": "t", "delivery_info": {}, "body_encoding": "utf-8"}
    return json.dumps(
        {
            "body": json.dumps(body),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {},
            "properties": properties,
        }
    )


@pytest.mark.parametrize("requeue", [False, True], ids=["dropped", "given back"])
def test_one_message_is_rejected(server: Redis, client: Client, requeue: bool) -> None:
    """It is gone, or next in the queue again; the others are as they were."""
    publish(server, *range(3))
    with consuming(server, prefetch=2) as (connection, _channel, got):
        turn_until(connection, lambda: len(got) == 2)
        got[0].reject(requeue=requeue)
        assert left(client) == (1, 1, 2 if requeue else 1)
        assert client.hlen(UNACKED) == 1


def test_a_dead_workers_messages_are_restored(server: Redis, client: Client) -> None:
    """When leases end the messages come again: in order, marked, and uncounted if they waited."""
    publish(server, *range(700))
    with (
        consuming(server, prefetch=600) as (connection, dead, lost),
        consuming(server, prefetch=700) as (other, channel, got),
    ):
        turn_until(connection, lambda: len(lost) == 600)
        die(dead)
        turn_until(other, lambda: len(got) == 700)
        assert bodies(got) == [*range(600, 700), *range(600)]
        assert got[-1].headers[DELIVERY_COUNT] == 0
        assert got[-1].headers["redelivered"]
        assert got[-1].delivery_info["redelivered"]
        channel.ack_many([message.delivery_tag for message in got])
        # Late acknowledgements of what somebody else has are harmless.
        dead.ack_many([message.delivery_tag for message in lost])
    assert left(client) == (0, 0, 0)


def counts(client: Client) -> dict[str, Any]:
    """Return how often workers died with each message that waits, by its body."""
    items = [json.loads(item) for name in ("q", "q.retry") for item in client.lrange(name, 0, -1)]
    return {b64decode(item["body"]).decode(): item["headers"].get(DELIVERY_COUNT) for item in items}


@pytest.mark.usefixtures("client")
def test_only_what_was_worked_on_is_suspect(server: Redis, client: Client) -> None:
    """Of a dead worker's messages: not what waited, nor what it had paused, or tried again."""
    publish(server, "waiting", "begun", "paused", "resumed", "done", "parked")
    with consuming(server) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 6)
        tags = {message.payload: message.delivery_tag for message in got}
        channel.begin([tags[name] for name in tags if name != "waiting"])
        channel.pause([tags["paused"], tags["resumed"], tags["parked"]])
        channel.park(tags["parked"])
        channel.resume([tags["resumed"]])
        channel.ack_many([tags["done"]])
        # A lease that is renewed says the same.
        channel.qos._renew(time.monotonic())
        die(channel)
    restore_all(server, client)
    assert counts(client) == {"waiting": 0, "begun": 1, "paused": 0, "resumed": 0, "parked": 0}


@pytest.mark.usefixtures("client")
def test_what_is_worked_on_for_too_long_is_let_go_but_not_what_waits(server: Redis) -> None:
    """However long the wait for a slot, a time or a database is."""
    publish(server, "begun", "paused", "parked")
    renewed: list[int] = []
    with consuming(server) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 3)
        tags = [message.delivery_tag for message in got]
        channel.begin(tags)
        channel.pause(tags[1:2])
        channel.park(tags[2])
        channel.on_renewed = renewed.append
        channel.qos._renew(time.monotonic() + channel.lease_max_seconds + 1)
        assert renewed == [2]
        channel.ack_many(tags)


@pytest.mark.usefixtures("client")
def test_only_what_somebody_died_with_is_counted_when_it_goes_back(
    server: Redis, client: Client
) -> None:
    """A worker that stops, or has no room, holds nothing against it."""
    publish(server, "killed", "returned")
    with consuming(server) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 2)
        tags = {message.payload: message.delivery_tag for message in got}
        channel._active_queues.clear()
        channel.give_back([tags["killed"]], died=True)
        channel.give_back([tags["returned"]])
        assert counts(client) == {"killed": 1, "returned": None}


@pytest.mark.usefixtures("client")
def test_what_came_one_by_one_is_worked_on_for_as_long_as_it_takes(
    server: Redis, client: Client
) -> None:
    """A note for each message, of more than a script takes at once, and all are renewed."""
    tags = [f"fetch-{number}-1" for number in range(5_000)]
    with consuming(server) as (_, channel, _):
        channel.qos.hold(tags)
        channel.begin(tags)
        latest: Any = client.zrange(WORKED_ON, -1, -1, withscores=True)
        assert client.zcard(WORKED_ON) == len(tags)
        channel.qos._renew(time.monotonic())
        assert client.zcount(WORKED_ON, f"({latest[0][1]}", "+inf") == len(tags)
        die(channel)


def has_come(got: list[Any], count: int) -> bool:
    """Return whether so many messages have come."""
    return len(got) == count


def restore_all(server: Redis, client: Client) -> None:
    """Let another channel keep the house until nobody holds anything."""
    with connected(server) as connection:
        channel = connection.channel()
        channel._active_queues.append("q")
        turn_until_restored(channel, client)
        channel._active_queues.clear()


def turn_until_restored(channel: Any, client: Client) -> None:
    """Keep the house of a channel until nobody holds anything."""
    deadline = time.monotonic() + WAIT_SECONDS
    while left(client)[0]:
        assert time.monotonic() < deadline, "it did not come to pass"
        channel.qos.housekeep()
        time.sleep(0.05)


@pytest.mark.usefixtures("client")
def test_waiting_often_enough_is_no_death(server: Redis, client: Client) -> None:
    """However many workers are killed, what waited in them is served like any other."""
    publish(server, *range(50))
    for _ in range(8):
        with consuming(server) as (connection, channel, got):
            turn_until(connection, partial(has_come, got, 50))
            die(channel)
    with consuming(server) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 50)
        channel.ack_many([message.delivery_tag for message in got])
    assert not client.exists("q.retry", "q.dead")
    assert left(client) == (0, 0, 0)


def test_what_is_looked_at_is_counted_if_that_kills(server: Redis, client: Client) -> None:
    """Workers die of reading one message: it is set aside, and no neighbour ever counts."""
    publish(server, *range(5), "poison", *range(5, 10))
    deaths = 0
    while not client.llen("q.dead"):
        assert deaths < 10
        with consuming(server, delivery_limit=3) as (connection, channel, got):

            def look(message: Any, got: list[Any] = got) -> None:
                if message.payload == "poison":
                    raise SystemExit("killed")
                got.append(message)

            def is_set_aside(got: list[Any] = got, channel: Any = channel) -> Any:
                if client.llen("q.retry"):
                    # The worker goes on with what it has, and then takes the suspect.
                    channel.ack_many([message.delivery_tag for message in got])
                return client.llen("q.dead")

            channel._receivers["q"] = look
            try:
                turn_until(connection, is_set_aside)
            except SystemExit:
                deaths += 1
                die(channel)
            assert all(message.headers.get(DELIVERY_COUNT, 0) == 0 for message in got)
            assert {count for body, count in counts(client).items() if body != "poison"} <= {
                *(None, 0)
            }
    # In company and not counted, then by itself until there are more than three.
    assert deaths == 1 + 4


@pytest.mark.parametrize(
    ("error", "count"),
    [(ValueError("a fault"), 1), (ConnectionError("lost"), None)],
    ids=["of its own", "of the connection"],
)
def test_an_exception_that_leaves_the_consumer_is_counted(
    server: Redis, client: Client, error: Exception, count: int | None
) -> None:
    """It is what was looked at that goes back counted; the neighbours go back as they were."""
    publish(server, "before", "odd", "after")
    with consuming(server) as (connection, channel, _):

        def look(message: Any) -> None:
            if message.payload == "odd":
                raise error

        channel._receivers["q"] = look
        with pytest.raises(type(error)):
            turn_until(connection, lambda: False)
    assert counts(client) == {"before": None, "odd": count, "after": None}


def test_an_exception_at_the_handover_is_counted(server: Redis, client: Client) -> None:
    """For what is handed to a slot: fetched again and again it would end every worker."""
    publish(server, "waiting", "begun", "begun too")
    with consuming(server) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 3)

        def hand_over() -> None:
            with channel.begin([message.delivery_tag for message in got[1:]]):
                raise ValueError("a fault")

        with pytest.raises(ValueError, match="a fault"):
            hand_over()
    assert counts(client) == {"waiting": None, "begun": 1, "begun too": 1}


@pytest.mark.usefixtures("client")
def test_a_living_worker_takes_up_what_it_held(server: Redis, client: Client) -> None:
    """Over a connection that was lost: at once, in order and uncounted, whatever was begun."""
    publish(server, *range(5))
    with consuming(server, lease_seconds=600) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 5)
        channel.begin([message.delivery_tag for message in got])
        client.config_set("maxclients", 1)
        client.client_kill_filter(_type="normal", skipme=True)
        channel.close()
        client.config_set("maxclients", 1_000)
    assert left(client) == (5, 5, 0)
    with consuming(server, lease_seconds=600) as (connection, channel, again):
        turn_until(connection, lambda: len(again) == 5)
        assert bodies(again) == list(range(5))
        assert not any(DELIVERY_COUNT in message.headers for message in again)
        channel.ack_many([message.delivery_tag for message in again])


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"properties": {"priority": 1e400}}, id="a priority without end"),
        pytest.param({"properties": {"priority": "high"}}, id="a priority that is a word"),
        pytest.param({"headers": {DELIVERY_COUNT: "nines"}}, id="deliveries without end"),
    ],
)
@pytest.mark.parametrize("died", [True, False], ids=["of a dead worker", "of a stopping one"])
def test_an_odd_item_keeps_no_other_from_going_back(
    server: Redis, client: Client, odd: dict[str, Any], died: bool
) -> None:
    """All of them are fetched again, and answered."""
    publish(server, *range(3))
    item = json.loads(client.lrange("q", 0, 0)[0])
    for part, changed in odd.items():
        item[part].update(changed)
    client.lpush("q", json.dumps(item).replace('"nines"', "9" * 4_300))
    with consuming(server) as (connection, channel, got):
        channel.on_set_aside = lambda item, _: got.append(item.tag)
        turn_until(connection, lambda: len(got) == 4)
        if died:
            die(channel)
        else:
            channel.qos.restore_unacked()
    with consuming(server) as (connection, channel, again):
        channel.on_set_aside = lambda item, _: again.append(item.tag)

        def all_acknowledged() -> bool:
            channel.ack_many([getattr(each, "delivery_tag", each) for each in again])
            return len(again) == 4

        turn_until(connection, all_acknowledged)
    assert left(client) == (0, 0, 0)


@pytest.mark.parametrize("priority", [1e400, -1e400, "high", [3]], ids=str)
def test_an_odd_priority_hides_no_death(server: Redis, client: Client, priority: Any) -> None:
    """It is counted, in the list that any message without a priority goes to."""
    publish(server, "poison")
    item = json.loads(client.lpop("q"))  # type: ignore[arg-type]
    item["properties"]["priority"] = priority
    client.lpush("q", json.dumps(item))
    with consuming(server) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 1)
        channel.begin([got[0].delivery_tag])
        die(channel)
    restore_all(server, client)
    assert client.llen("q") == 1
    assert counts(client) == {"poison": 1}


def test_restoring_leaves_what_was_acknowledged_meanwhile(server: Redis, client: Client) -> None:
    """Only what still is as it was seen moves."""
    publish(server, "acknowledged", "renewed", "dead")
    with consuming(server) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 3)
        qos = channel.qos
        tags = [message.delivery_tag for message in got]
        place = qos._place_of_dead

        def meanwhile(entry: bytes) -> Any:
            channel.ack_many(tags[:1])
            client.zadd(INDEX, {tags[1]: time.time()})
            return place(entry)

        assert qos.move(tags, meanwhile) == 1
        assert left(client) == (1, 1, 1)
        assert b"dead" not in client.hget(UNACKED, tags[1])  # type: ignore[operator]
        qos._delivered.clear()


def test_an_index_without_its_message_is_tidied_up(server: Redis, client: Client) -> None:
    """Half an acknowledgement leaves nothing behind for good."""
    client.zadd(INDEX, {"orphan": 1})
    client.zadd(INDEX, {"strange": 1})
    client.hset(UNACKED, "strange", "not an entry")
    with consuming(server) as (connection, _channel, _got):
        turn_until(connection, lambda: left(client) == (0, 0, 0))
    assert client.lrange(f"{UNACKED}.dead", 0, -1) == [b"not an entry"]


def test_leases_are_renewed_but_not_for_ever(server: Redis, client: Client) -> None:
    """What is held stays ours, and what is worked on until the longest time that is allowed."""
    publish(server, "slow", "parked", "waiting")
    with (
        consuming(server, lease_max_seconds=3) as (connection, channel, got),
        consuming(server) as (other, _, stolen),
    ):
        channel.connection.cycle.on_poll_start()
        turn_until(connection, lambda: len(got) == 3)
        channel.begin([got[0].delivery_tag])
        channel.park(got[1].delivery_tag)
        held_until = time.monotonic() + 2.5
        while time.monotonic() < held_until:
            for each in (connection, other):
                with suppress(TimeoutError):
                    each.drain_events(timeout=0.05)
        assert (stolen, left(client)) == ([], (3, 3, 0))

        def turn_both() -> bool:
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.01)
            return bool(stolen) or len(got) > 3

        turn_until(other, turn_both)
        assert {*bodies(stolen), *bodies(got[3:])} == {"slow"}


def test_stock_restores_nothing_of_ours(server: Redis, client: Client) -> None:
    """A stock worker on the same database, however hasty, leaves what we hold alone."""
    publish(server, *range(5))
    options: dict[str, Any] = {"visibility_timeout": 0.1, "unacked_restore_throttle": 1}
    with (
        consuming(server) as (connection, channel, held),
        consuming(server, "other", transport=stock.Transport, **options) as (stranger, _, _got),
    ):
        turn_until(connection, lambda: len(held) == 5)
        turn_for(2.5, connection, stranger)
        assert left(client) == (5, 5, 0)
        channel.ack_many([message.delivery_tag for message in held])


def turn_for(seconds: float, *connections: Any) -> None:
    """Let connections do what they do."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for connection in connections:
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.05)


@pytest.mark.parametrize("queue", ["other", "q"], ids=["of its own queue", "of a namesake"])
def test_ours_restores_nothing_of_stocks(server: Redis, client: Client, queue: str) -> None:
    """What a stock worker holds stays with it, for however many leases its task takes."""
    publish(server, *range(5), queue=queue)
    with consuming(server, queue, transport=stock.Transport) as (stranger, _, held):
        turn_until(stranger, lambda: len(held) == 5)
        before = client.hgetall("unacked")
        with consuming(server) as (connection, _channel, got):
            turn_for(3, connection)
            assert got == []
        assert client.hgetall("unacked") == before
        assert not client.exists(queue, f"{queue}.retry")


def test_what_the_release_before_held_is_found(server: Redis, client: Client) -> None:
    """Among whatever others hold under the same keys; once its lease has ended, and uncounted."""
    publish(server, *range(5))
    with consuming(server) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 5)
        die(channel)
    # Where that release kept them.
    client.rename(UNACKED, "unacked")
    client.rename(INDEX, "unacked_index")
    theirs: Any = {f"{uuid.uuid4()}": json.dumps([{"id": n}, "", "q"]) for n in range(1_200)}
    client.hset("unacked", mapping=theirs)
    client.zadd("unacked_index", dict.fromkeys(theirs, 1))
    with consuming(server) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 5)
        assert bodies(got) == list(range(5))
        assert {message.headers[DELIVERY_COUNT] for message in got} == {0}
        channel.ack_many([message.delivery_tag for message in got])
    assert client.hlen("unacked") == client.zcard("unacked_index") == len(theirs)


def test_former_keys_that_are_something_else_are_left_alone(server: Redis, client: Client) -> None:
    """And keep nobody from anything."""
    client.set("unacked_index", "somebody else's")
    publish(server, "one")
    with consuming(server) as (connection, channel, got):
        turn_until(connection, lambda: got)
        die(channel)
    with consuming(server) as (connection, _channel, got):
        turn_until(connection, lambda: got)
    assert client.get("unacked_index") == b"somebody else's"


# -- set aside -------------------------------------------------------------------

GARBAGE = [
    b"\xff\xfe",
    b"not JSON",
    b"42",
    b"{}",
    b'{"properties": {"delivery_tag": "t", "body_encoding": "base64"}, "body": "abc"}',
    b'{"properties": {"delivery_tag": "t", "body_encoding": "rot13"}, "body": "x"}',
    b'","",""]',
]


def test_garbage_is_set_aside(server: Redis, client: Client) -> None:
    """What is no message is in the list of the dead, to the byte, and its neighbours are served."""
    publish(server, "before")
    client.lpush("q", *GARBAGE)
    publish(server, "after")
    with consuming(server) as (connection, _channel, got):
        turn_until(connection, lambda: len(got) == 2)
        assert bodies(got) == ["before", "after"]
        assert client.lrange("q.dead", 0, -1) == GARBAGE
        assert left(client) == (2, 2, 0)


def test_what_cannot_be_set_aside_stays_held(server: Redis, client: Client) -> None:
    """Where the list of the dead is something else, nothing is lost, and restoring goes on."""
    client.xadd("q.dead", {"is": "a stream"})
    client.xadd("strange", {"is": "a stream"})
    client.lpush("q", "garbage")
    for number, queue in enumerate(("q", "strange")):
        client.hset(UNACKED, queue, json.dumps([{"properties": {}}, "", queue]))
        client.zadd(INDEX, {queue: number})
    with consuming(server) as (connection, _channel, _got):
        turn_until(connection, lambda: left(client)[0] == 3 and not client.hexists(UNACKED, "q"))
        assert client.hexists(UNACKED, "strange")


def test_a_consumer_can_take_what_is_set_aside(server: Redis, client: Client) -> None:
    """The hook gets what, where, why, and the tag that it acknowledges; failing is no harm."""
    client.lpush("q", "first", "second")
    with consuming(server) as (connection, channel, _got):
        taken: list[tuple[Any, str]] = []

        def take(item: Any, reason: str) -> None:
            taken.append((item, reason))
            if len(taken) == 1:
                raise RuntimeError("on purpose")
            channel.ack_many([item.tag])

        channel.on_set_aside = take
        turn_until(connection, lambda: len(taken) == 2)
        assert [item.item for item, _ in taken] == [b"first", b"second"]
        assert {item.source.queue for item, _ in taken} == {"q"}
        assert "not JSON" in taken[0][1]
        assert left(client) == (1, 1, 0)


def test_a_message_that_kills_hurts_nobody_else(server: Redis, client: Client) -> None:
    """Workers die of one message: it is set aside, and every other one is served."""
    publish(server, *range(20), "poison", *range(20, 30))
    done: list[Any] = []
    deaths = 0
    while left(client) != (0, 0, 0) or client.llen("q.retry"):
        with consuming(server, prefetch=25, delivery_limit=3) as (connection, channel, got):
            deadline = time.monotonic() + WAIT_SECONDS
            while "poison" not in bodies(got) and time.monotonic() < deadline:
                for message in got:
                    done.append(message.payload)
                    message.ack()
                got.clear()
                if left(client) == (0, 0, 0) and not client.llen("q.retry"):
                    break
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.05)
            if "poison" in bodies(got):
                deaths += 1
                if deaths > 2:
                    assert bodies(got) == ["poison"]
                channel.begin([message.delivery_tag for message in got])
                die(channel)
    assert sorted(done) == list(range(30))
    assert deaths == 4
    assert client.llen("q.dead") == 1


@pytest.mark.usefixtures("client")
def test_suspects_are_not_starved(server: Redis) -> None:
    """While a suspect waits a busy worker fetches nothing, then takes it alone."""
    publish(server, "suspect", queue="q.retry")
    publish(server, *range(3))
    with consuming(server, prefetch=2) as (connection, channel, got):
        turn_until(connection, lambda: got)
        assert bodies(got) == ["suspect"]
        assert not channel.qos.can_consume()
        got.pop().ack()
        turn_until(connection, lambda: len(got) == 2)
        publish(server, "another", queue="q.retry")
        got.pop(0).ack()
        before = time.monotonic()
        turn_until(connection, lambda: time.monotonic() > before + 0.3)
        assert bodies(got) == [1]
        got.pop().ack()
        turn_until(connection, lambda: got)
        assert bodies(got) == ["another"]


# -- trouble ---------------------------------------------------------------------


@pytest.mark.usefixtures("client")
def test_lost_connections_lose_nothing(server: Redis) -> None:
    """Whenever the server cuts its connections, everything is delivered in the end."""
    total, cuts = 300, 15
    seen: set[Any] = set()
    more_seen = threading.Semaphore(0)

    def cut() -> None:
        with Client.from_url(server.url) as killer:
            for _ in range(cuts):
                more_seen.acquire()
                # Somewhere in what the others are about by then.
                time.sleep(CHANCE.uniform(0, 0.02))
                killer.client_kill_filter(_type="normal", skipme=True)

    publish(server, *range(total))
    thread = threading.Thread(target=cut)
    thread.start()
    deadline = time.monotonic() + 4 * WAIT_SECONDS
    try:
        while len(seen) < total and time.monotonic() < deadline:
            with (
                suppress(*Transport.connection_errors),
                consuming(server, prefetch=10) as (connection, channel, got),
            ):
                while len(seen) < total and time.monotonic() < deadline:
                    with suppress(TimeoutError):
                        connection.drain_events(timeout=0.05)
                    if not seen.issuperset(bodies(got)):
                        more_seen.release()
                    # Before: what was acknowledged as its connection was cut does not come again.
                    seen.update(bodies(got))
                    channel.ack_many([message.delivery_tag for message in got])
                    got.clear()
                    time.sleep(0.005)
    finally:
        for _ in range(cuts):
            more_seen.release()
        thread.join()
    assert seen == set(range(total))


KILLED = """
import os, socket, sys
from kombu.connection import Connection
from kombu.messaging import Consumer
from redis import Redis
from worker.transport.redis import Transport

Transport.Channel.lease_seconds = 1
client, done = Redis.from_url(sys.argv[1]), []
connection = Connection(sys.argv[1], transport=Transport)
channel, got = connection.channel(), []
consumer = Consumer(channel, [Queue("q", Exchange(""), routing_key="q")], on_message=got.append)
consumer.qos(prefetch_count=200)
consumer.consume()
print("ready", flush=True)
while True:
    try:
        connection.drain_events(timeout=1)
    except socket.timeout:
        continue
    for message in got:
        client.sadd("seen", message.payload)
    channel.ack_many([message.delivery_tag for message in got])
    got.clear()
"""


def test_a_killed_process_loses_nothing(server: Redis, client: Client) -> None:
    """`kill -9` at random moments: afterwards every message was seen and none is left."""
    total = 4_000
    publish(server, *range(total))
    for number in range(5):
        command = [sys.executable, "-c", KILLED, server.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.02 + number * 0.03)
            os.kill(process.pid, signal.SIGKILL)
    seen = client.smembers("seen")
    with consuming(server, prefetch=1_000) as (connection, channel, got):
        while left(client) != (0, 0, 0) or client.llen("q.retry"):
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.1)
            seen |= {b"%d" % body for body in bodies(got)}
            channel.ack_many([message.delivery_tag for message in got])
            got.clear()
    assert len(seen) == total
    assert not client.exists("q.dead")


def test_a_full_server_goes_on_delivering(server: Redis, client: Client) -> None:
    """At the memory limit messages are fetched, renewed, acknowledged and given back."""
    publish(server, *range(100))
    client.config_set("maxmemory", 1)
    with consuming(server, prefetch=60) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 60)
        assert channel.qos.move([got[0].delivery_tag], channel.qos._place_of_dead) == 1
        before: Any = client.zrange(INDEX, 0, 0, withscores=True)
        channel.qos._renew(time.monotonic())
        after: Any = client.zrange(INDEX, 0, 0, withscores=True)
        assert after[0][1] > before[0][1]
        channel.ack_many([message.delivery_tag for message in got[:50]])
        turn_until(connection, lambda: len(got) == 101)
    assert left(client) == (0, 0, 51)


@pytest.mark.usefixtures("client")
def test_a_dead_server_does_not_keep_a_channel_from_closing() -> None:
    """Closing on a lost connection raises nothing."""
    with temporary_folder() as folder, Redis(folder / "redis") as server:
        publish(server, *range(3))
        with consuming(server) as (connection, channel, got):
            turn_until(connection, lambda: len(got) == 3)
            server.stop(immediate=True)
            channel.close()
            assert channel.closed


def test_a_collected_connection_closes_quietly(server: Redis, client: Client) -> None:
    """A connection that forgot its settings, as after a broker restart, gives up in peace."""
    publish(server, *range(3))
    with consuming(server) as (connection, channel, got):
        turn_until(connection, lambda: len(got) == 3)
        connection.collect()
        assert channel.closed
        # As of a task that ends after that.
        got[0].ack()
        got[1].requeue()
    assert json.loads(client.lindex("q", -1) or "{}") or left(client)[0] == 3
