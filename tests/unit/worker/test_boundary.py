"""Nothing that a message does leaves the boundary; it is answered, its neighbours are served."""

from __future__ import annotations

import gc
import json
import sys
import weakref
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from celery.worker import state
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kombu.message import Message as Delivery

from settle_client.update import StatusUpdate
from tasks.messages import InvalidUpdate
from tests.unit.worker.test_strategy import Consumer, Delivered, one, receive, strategy_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.messages import Message


@pytest.fixture(autouse=True)
def _nothing_revoked() -> Iterator[None]:
    yield
    state.reset_state()


def deep(levels: int) -> Any:
    """Nest lists."""
    nested: Any = []
    for _ in range(levels):
        nested = [nested]
    return nested


def odd(**changed: Any) -> Delivered:
    """Make a message with some of its attributes, or some of its headers, changed."""
    message = one("odd")
    for name, value in changed.items():
        if hasattr(message, name):
            setattr(message, name, value)
        else:
            message.headers[name.replace("_header", "")] = value
    return message


ODD = [
    pytest.param({"task": []}, id="a task that is a list"),
    pytest.param({"task": {}}, id="a task that is an object"),
    pytest.param({"task": "x" * 100_000}, id="a task without end"),
    pytest.param({"headers": None}, id="no headers"),
    pytest.param({"headers": []}, id="headers that are a list"),
    pytest.param({"headers": {"deep": deep(100_000)}}, id="headers that are deep"),
    pytest.param({"headers": {}, "content_type": "m\udfff"}, id="half a pair in the type"),
    pytest.param({"headers": {}, "body": b'{"task": []}'}, id="protocol 1 with a list for a task"),
    pytest.param({"headers": {}, "body": b'{"task": {}, "id": 5}'}, id="protocol 1 with an object"),
    pytest.param({"headers": {}, "body": None}, id="no body"),
    pytest.param({"properties": None, "headers": {"id": None}}, id="no properties"),
    pytest.param({"delivery_info": []}, id="delivery details that are a list"),
    pytest.param({"stamped_headers": [[]]}, id="a stamp that is a list"),
    pytest.param({"stamped_headers": True}, id="stamps that are true"),
    pytest.param({"stamped_headers": 5}, id="stamps that are a number"),
    pytest.param({"stamped_headers": [{}]}, id="a stamp that is an object"),
    pytest.param({"stamped_headers": ["tenant"], "stamps": 5}, id="stamps without values"),
    pytest.param({"eta": []}, id="an eta that is a list"),
    pytest.param({"expires": {}}, id="an expiry that is an object"),
    pytest.param({"x-delivery-count": 10**5_000}, id="deliveries without end"),
    pytest.param({"x-delivery-count": deep(100_000)}, id="deliveries that are deep"),
    # What AMQP can say and JSON cannot.
    pytest.param({"headers": {b"\xff": 1}}, id="a header whose name is no text"),
    pytest.param({"id": b"\xff"}, id="an id that is bytes"),
    pytest.param({"task": datetime(2026, 1, 1, tzinfo=UTC)}, id="a task that is a time"),
    pytest.param({"eta": Decimal("1.5")}, id="an eta that is a decimal number"),
    pytest.param({"expires": b"\xff"}, id="an expiry that is bytes"),
    pytest.param({"properties": {b"\xff": b"\xff"}}, id="properties that are bytes"),
]


def answer(*messages: Delivered) -> list[Message]:
    """Deliver messages, and return what a slot is given to answer."""
    consumer = Consumer()
    strategy = strategy_of(consumer)
    receive(strategy, *messages)
    consumer.turn()
    return [message for job, _ in consumer.jobs for message in job.messages]


@pytest.mark.parametrize("changed", ODD)
def test_an_odd_message_is_answered_and_its_neighbours_are_served(changed: Any) -> None:
    """Whatever is raised sets that one aside."""
    state.revoked_stamps.update({"tenant": ["a"]})
    first, strange, last = answer(one("first"), odd(**changed), one("last"))
    assert [first.id, last.id] == ["first", "last"]
    for update in strange.updates:
        if isinstance(update, InvalidUpdate):
            # It can be published, and kept.
            json.loads(update.raw)
            update.error.encode()
            assert len(update.error) <= 1_000


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(categories=("L", "N", "Cc", "Cs"))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        (
            *("task", "id", "eta", "expires", "stamped_headers", "stamps", "ignore_result"),
            *("redelivered", "x-delivery-count", "root_id", "argsrepr", "sent_at", "retries"),
        )
    ),
    JSON,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(headers=JSON | HEADERS, properties=JSON, info=JSON, body=JSON.map(json.dumps))
def test_no_item_stops_its_neighbours(headers: Any, properties: Any, info: Any, body: str) -> None:
    """Any JSON in the place of every part of a message."""
    strange = one("odd")
    if isinstance(headers, dict):
        headers = {**strange.headers, **headers}
    strange.headers, strange.properties, strange.delivery_info = headers, properties, info
    strange.body = body.encode()
    ids = [message.id for message in answer(strange, one("good"))]
    # It is delayed, dropped, or answered.
    assert ids[-1] == "good"
    assert len(ids) <= 2


def of_protocol_1(**said: Any) -> Delivered:
    """Make a message whose body says everything."""
    message = one("unused")
    message.headers = {}
    message.body = json.dumps({"task": "events.update_status", "id": "m", **said}).encode()
    return message


def test_a_message_of_protocol_1_is_honoured() -> None:
    """Its id, and what it asks for."""
    (message,) = answer(of_protocol_1(args=[], kwargs={"id": "ev_1", "status": "completed"}))
    assert message.id == "m"
    assert [update.id for update in message.updates] == ["ev_1"]


def test_a_message_of_protocol_1_expires() -> None:
    """As if it had been sent in protocol 2."""
    kwargs = {"id": "ev_1", "status": "completed"}
    assert answer(of_protocol_1(kwargs=kwargs, expires="2020-01-01T00:00:00+00:00")) == []


def test_a_message_of_protocol_1_is_delayed() -> None:
    """As if it had been sent in protocol 2."""
    kwargs = {"id": "ev_1", "status": "completed"}
    assert answer(of_protocol_1(kwargs=kwargs, eta="2999-01-01T00:00:00+00:00")) == []


@pytest.mark.parametrize("option", ["eta", "expires"])
def test_a_time_in_an_unknown_zone_is_refused(option: str) -> None:
    """It would be honoured by half."""
    times = {"utc": False, option: "2999-01-01T00:00:00"}
    (message,) = answer(of_protocol_1(kwargs={"id": "ev_1", "status": "completed"}, **times))
    (update,) = message.updates
    assert isinstance(update, InvalidUpdate)
    assert "send UTC" in update.error


def test_the_same_is_said_of_a_foreign_task() -> None:
    """In either protocol."""
    foreign = one("a", task="another.task")
    first, second = answer(foreign, of_protocol_1(task="another.task"))
    errors = {update.error for message in (first, second) for update in message.updates}  # type: ignore[union-attr]
    assert errors == {"the task is unknown: 'another.task'; send events.update_status"}


UNREADABLE = {
    "uuid": {"hex": "0192f3a47c1e7abc8def0123456789ab", "version": 7},
    "datetime": "garbage",
    "invoice": 5,
}
OPTIONS: list[Any] = [
    pytest.param({}, id="at once"),
    pytest.param({"eta": "2020-01-01T00:00:00+00:00"}, id="delayed"),
    pytest.param({"expires": "2999-01-01T00:00:00+00:00"}, id="expiring"),
    pytest.param({"stamped_headers": ["tenant"], "stamps": {"tenant": ["a"]}}, id="stamped"),
    pytest.param({"redelivered": True}, id="redelivered"),
]


def answer_when_due(delivered: Delivered) -> Message:
    """Deliver a message, let its time come, and return what a slot is given."""
    consumer = Consumer()
    receive(strategy_of(consumer), delivered)
    consumer.turn()
    if not consumer.jobs:
        consumer.wait()
    ((job, _),) = consumer.jobs
    message: Message = job.messages[0]
    return message


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("mark", UNREADABLE)
def test_what_is_ignored_is_ignored_whatever_it_looks_like(mark: str, options: Any) -> None:
    """Nothing of an update is decoded by kombu, whose marks these fields seem to have."""
    payload = {"__type__": mark, "__value__": UNREADABLE[mark]}
    message = Delivered(
        "m", kwargs={"id": "ev_1", "status": "completed", "payload": payload}, **options
    )
    assert answer_when_due(message).updates == (StatusUpdate("ev_1", "completed"),)


@pytest.mark.parametrize("options", OPTIONS)
def test_a_uuid_is_an_id_on_every_path(options: Any) -> None:
    """As a Celery client writes it."""
    marked = {"__type__": "uuid", "__value__": {"hex": "0192f3a47c1e7abc8def0123456789ab"}}
    message = Delivered("m", args=[[{"id": marked, "status": "failed"}]], **options)
    (update,) = answer_when_due(message).updates
    assert update.id == "0192f3a4-7c1e-7abc-8def-0123456789ab"


def test_a_message_id_that_is_too_long_is_answered_by_its_beginning() -> None:
    """However many updates it would have been in the outcomes of."""
    updates = [{"id": f"ev_{number}", "status": "completed"} for number in range(1_000)]
    message = answer_when_due(Delivered("m" * 200_000, args=[updates]))
    assert message.id == "m" * 255
    (update,) = message.updates
    assert isinstance(update, InvalidUpdate)
    assert "the message id has 200,000 characters" in update.error
    assert "cut to 255 characters" in update.error


BODIES = [
    pytest.param("application/json", b"[[, " + b"1" * 99_996, {}, id="no JSON"),
    pytest.param("application/x-python-serialize", b"(" * 100_000, {}, id="a pickle"),
    pytest.param("application/json", b"\xff" * 100_000, {}, id="no text"),
    pytest.param("application/json", b"z" * 100_000, {"compression": "gzip"}, id="not compressed"),
    pytest.param("application/json", memoryview(b"z" * 100_000), {}, id="a view"),
]


@pytest.mark.parametrize(("content_type", "body", "headers"), BODIES)
def test_of_what_nobody_can_read_the_beginning_is_kept(
    content_type: str, body: Any, headers: Any
) -> None:
    """A dead letter of it is for a person, who sees how much there was."""
    message = Delivered("m", **headers)
    message.content_type, message.body = content_type, body
    (update,) = answer_when_due(message).updates
    assert isinstance(update, InvalidUpdate)
    kept = json.loads(update.raw)
    assert kept["body-bytes"] == 100_000
    assert len(kept["body"]) < 5 * 65_536


def test_what_can_be_read_is_kept_whole() -> None:
    """It can be sent again when the rules allow it."""
    message = Delivered("m", args=[[{"id": "x" * 60, "status": "failed"}] * 1_001])
    (update,) = answer_when_due(message).updates
    assert isinstance(update, InvalidUpdate)
    assert json.loads(update.raw)["body"].endswith("{}]")


@pytest.mark.parametrize("options", OPTIONS)
def test_no_body_is_kept_that_is_understood(options: Any) -> None:
    """Compressed it may have been small; its updates are what is settled."""
    message = Delivered(
        "m", kwargs={"id": "ev_1", "status": "completed", "payload": "x" * 10_000}, **options
    )
    assert answer_when_due(message).updates
    assert not message.body


class Expanded:
    """What a decoder was about when it gave up."""


def test_no_body_is_kept_that_could_not_be_decoded() -> None:
    """Not in a traceback either, which refers to itself until somebody collects garbage."""
    seen: list[weakref.ref[Expanded]] = []

    def decode() -> None:
        expanded = Expanded()
        seen.append(weakref.ref(expanded))
        raise ValueError("it is too large")

    def give_up(message: Any, _: Exception) -> None:
        strategy_of(Consumer()).refuse(message, "it cannot be decoded")

    make: Any = Delivery
    message = make(b"compressed", headers={"id": "m"})
    try:
        decode()
    except ValueError:
        message.errors.append(sys.exc_info())
    gc.disable()
    try:
        message._reraise_error(give_up)
        assert [each() for each in seen] == [None]
    finally:
        gc.enable()
    assert not message.body
