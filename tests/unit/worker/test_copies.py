"""What of a message is published in its place while it waits in RabbitMQ, and by which way."""

from __future__ import annotations

import bz2
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.message import Message

from settle_client.names import QUEUE
from worker.transport.rabbitmq.copies import MAX_PROPERTIES_BYTES, copy_of, restore
from worker.transport.rabbitmq.delay_queues import EXIT, LONGEST_SECONDS, NAMES, route

MINE = {"task": "events.update_status", "id": "a", "eta": "2999-01-01T00:00:00+00:00"}


def message(
    body: Any = "[[], {}, {}]", headers: Any = None, info: Any = None, **properties: Any
) -> Any:
    """Return a message as kombu has it."""
    make: Any = Message
    return make(
        body,
        content_type="application/json",
        content_encoding="utf-8",
        headers=headers or MINE,
        properties={"content_type": "application/json", "content_encoding": "utf-8", **properties},
        delivery_info=info or {"exchange": "", "routing_key": QUEUE},
    )


def test_a_copy_is_what_its_sender_sent() -> None:
    """Body, headers, and every property that says something of it; kept on disk."""
    copy = copy_of(message(priority=3, correlation_id="c", reply_to="r", delivery_mode=1))
    assert copy.body == "[[], {}, {}]"
    assert copy.properties == {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "priority": 3,
        "correlation_id": "c",
        "reply_to": "r",
        "delivery_mode": 2,
        "application_headers": MINE,
    }


def test_a_copy_has_nothing_that_rabbitmq_would_act_upon() -> None:
    """It goes to nobody else, it does not expire on its way, and another user publishes it."""
    of_the_broker = {
        "x-death": [{"queue": NAMES[0], "reason": "expired", "count": 1}],
        "x-first-death-queue": NAMES[0],
        "x-last-death-reason": "expired",
        "x-delivery-count": 14,
        "CC": ["elsewhere"],
        "BCC": ["elsewhere"],
    }
    copy = copy_of(message(headers={**MINE, **of_the_broker}, expiration="1", user_id="producer"))
    assert copy.properties["application_headers"] == MINE
    assert not {"expiration", "user_id"} & copy.properties.keys()


def test_a_copy_of_what_came_before_says_so() -> None:
    """Who decides by that whether it may have been applied must know."""
    info = {"exchange": "", "routing_key": QUEUE, "redelivered": True}
    headers = copy_of(message(info=info)).properties["application_headers"]
    assert headers == {**MINE, "redelivered": True}


def test_a_copy_is_compressed_as_the_first_was() -> None:
    """Though it was expanded to be looked at; what cannot be expanded is left as it is."""
    headers = {**MINE, "compression": "application/x-bz2"}
    expanded = message(bz2.compress(b"[]"), headers)
    assert expanded.body == b"[]"
    assert bz2.decompress(copy_of(expanded).body) == b"[]"
    assert copy_of(message(b"no bzip2", headers)).body == b"no bzip2"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"retries": 10**30}, id="a number that AMQP has not"),
        pytest.param({"root_id": "x" * MAX_PROPERTIES_BYTES}, id="too large"),
        pytest.param({"odd": object()}, id="something else"),
    ],
)
def test_what_cannot_be_copied_says_so_by_itself(headers: dict[str, Any]) -> None:
    """Before anything is published, so that its neighbours are."""
    with pytest.raises(Exception, match=r".*"):
        copy_of(message(headers={**MINE, **headers}))


@pytest.mark.parametrize("exchange", [EXIT, NAMES[0]], ids=["the last", "passed through"])
def test_what_comes_back_is_what_it_was(exchange: str) -> None:
    """As far as anybody can see that it waited; its deliveries since then still count.

    One that has not waited in the last queue says by which exchange it was let through.
    """
    headers = {**MINE, "x-death": [], "x-first-death-queue": "q", "x-delivery-count": 1}
    back = message(headers=headers, info={"exchange": exchange, "routing_key": route(6)[1]})
    restore(back)
    assert back.headers == {**MINE, "x-delivery-count": 1}
    assert back.properties["application_headers"] is back.headers
    assert back.delivery_info == {"exchange": "", "routing_key": QUEUE}
    other = SimpleNamespace(headers=headers, delivery_info={"exchange": "", "routing_key": "q"})
    restore(other)
    assert other.headers is headers


@pytest.mark.parametrize(
    ("seconds", "waits"),
    [(0.001, 1), (1, 1), (1.1, 2), (3_600, 3_600), (1e12, LONGEST_SECONDS), (-1, 1)],
)
def test_a_route_takes_whole_seconds_and_never_less(seconds: float, waits: int) -> None:
    """By its bits; what is due in more than eight years waits for eight, and then anew."""
    exchange, routing_key = route(seconds)
    *bits, queue = routing_key.split(".")
    assert (int("".join(bits), 2), queue) == (waits, QUEUE)
    assert exchange == NAMES[::-1][bits.index("1")]
    assert len(bits) == len(NAMES)


def test_the_queues_are_this_queues_own() -> None:
    """So that what waits can be counted, and other applications have theirs as they like."""
    assert all(name.startswith(QUEUE) for name in (*NAMES, EXIT))
