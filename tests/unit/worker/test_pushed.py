"""Plain messages as RabbitMQ pushes them, read as kombu's way does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settle_client.names import QUEUE, TASK
from tests.amqp_frames import deliver
from tests.json_values import BODIES, HEADER
from worker.transport.delivery import DELIVERY_COUNT, Received
from worker.transport.rabbitmq.delay_queues import EXIT
from worker.transport.rabbitmq.frames import Cutter
from worker.transport.rabbitmq.pushed import Pushed, read_way
from worker.understanding.other import receive
from worker.understanding.plain import read_plain

UPDATE = {"id": "ev_1", "status": "completed"}
STOCK: dict[str, Any] = {
    "lang": "py",
    "task": TASK,
    "id": "m1",
    "eta": None,
    "expires": None,
    "retries": 0,
    "ignore_result": True,
    "stamped_headers": None,
    "stamps": {},
    "argsrepr": "()",
}


def pushed(
    body: Any = ((), UPDATE, {}), *, headers: Any = None, way: Any = None, **properties: Any
) -> Pushed:
    """Push a message as a stock client sends it, with some of it changed."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    known = {
        "application_headers": {**STOCK, **(headers or {})},
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
    }
    way = {"routing_key": QUEUE, **(way or {})}
    frames = deliver(text, tag=5, **way, **{**known, **properties})
    (one,), end = Cutter(1, b"None1").cut(frames)
    assert end == len(frames)
    return one


def test_what_stock_clients_send_is_plain() -> None:
    """One update, or several together."""
    for body, count in (([[], UPDATE, {}], 1), ([[[UPDATE] * 3], {}, {}], 3)):
        plain = read_plain(pushed(body), max_updates=10)
        assert plain is not None
        assert (plain.message.id, len(plain.message.updates)) == ("m1", count)
        assert not plain.wants_result
        assert plain.delivery.tag == 5


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(pushed(headers={"eta": "2030-01-01T00:00:00+00:00"}), id="delayed"),
        pytest.param(pushed(headers={"expires": "2030-01-01T00:00:00+00:00"}), id="expires"),
        pytest.param(pushed(headers={"stamped_headers": ["a"]}), id="stamped"),
        pytest.param(pushed(headers={"compression": "application/x-gzip"}), id="compressed"),
        pytest.param(pushed(headers={"redelivered": True}), id="says that it came before"),
        pytest.param(pushed(headers={DELIVERY_COUNT: 1}), id="came before"),
        pytest.param(pushed(way={"redelivered": True}), id="comes again"),
        pytest.param(pushed(way={"exchange": EXIT}), id="comes back from waiting"),
        pytest.param(pushed(headers={"task": "other.task"}), id="another task"),
        pytest.param(pushed(headers={"id": 7}), id="an id that is no text"),
        pytest.param(pushed(content_type="text/plain"), id="no JSON"),
        pytest.param(pushed(b"not JSON"), id="a body that is not JSON"),
        pytest.param(pushed([[], {"id": "ev_1", "status": "done"}, {}]), id="not valid"),
    ],
)
def test_whatever_asks_for_more_is_not_plain(one: Pushed) -> None:
    """It goes the long way, which answers it."""
    assert read_plain(one, max_updates=10) is None


@given(body=BODIES, headers=st.dictionaries(st.sampled_from(["eta", "shadow"]), HEADER, max_size=2))
def test_what_is_plain_is_understood_as_the_long_way_does(body: Any, headers: Any) -> None:
    """The same message, whatever it may be."""
    written = {name: value for name, value in headers.items() if not isinstance(value, int)}
    one = pushed(body, headers=written)
    plain = read_plain(one, max_updates=10)
    if plain is not None:
        received = Received(one.to_message(None))
        assert receive(received, max_updates=10) == plain.message
        assert received.details() == plain.details


def test_as_kombu_has_it_it_is_what_was_sent() -> None:
    """For what only Celery knows."""
    one = pushed(way={"exchange": "upstream", "redelivered": True}, priority=3)
    message = one.to_message(None)
    assert (message.delivery_tag, message.headers) == (5, STOCK)
    assert (message.content_type, message.properties["priority"]) == ("application/json", 3)
    assert message.delivery_info == {
        "delivery_tag": 5,
        "redelivered": True,
        "exchange": "upstream",
        "routing_key": QUEUE,
    }
    assert json.loads(message.body) == [[], UPDATE, {}]
    assert one.headers() == STOCK
    assert one.byte_count == len(one.properties) + len(one.body)


def test_a_way_is_text_whatever_it_is() -> None:
    """Whoever sends by an exchange that matches patterns chooses the routing key."""
    assert read_way(b"\x01\x01e\x02\xffq") == (True, "e", "\\xffq")


def test_a_way_that_is_not_what_it_says_is_an_error() -> None:
    """Nothing of it is guessed."""
    with pytest.raises(ValueError, match="longer"):
        read_way(b"\x00\x00\x01qq")
