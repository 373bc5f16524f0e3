"""What monitors see of messages."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.batching import Batch, Why
from settle_client.envelope import bulk, single
from settle_client.update import StatusUpdate
from tasks.messages import validate
from tasks.settle import invalid, outcome_of
from tests.items import fetched
from worker.job import Done
from worker.summary import summarize
from worker.telling.task_event_texts import TASK_EVENTS_AT_ONCE
from worker.telling.task_events import MOST_BYTES, MOST_TASK_EVENTS, TaskEvents
from worker.transport.delivery import Received
from worker.understanding.plain import read_plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from settle_client.outcome import Outcome
    from worker.held import Held


class Dispatcher:
    """Celery's dispatcher, which remembers what is published."""

    def __init__(self) -> None:
        self.enabled, self.groups = True, set[str]()
        self.hostname = "w@test"
        self.clock = SimpleNamespace(forward=lambda: 7)
        self.producer = object()
        self.is_heard = True
        self.published: list[list[dict[str, Any]]] = []
        self.byte_count = 0

    def publish_written(self, first: bytes, more: Iterable[bytes], byte_count: int) -> None:
        """Remember what is published in each message, the first alone if nobody is there."""
        self.byte_count = byte_count
        self.published += map(json.loads, [first, *(more if self.is_heard else ())])

    @property
    def task_events(self) -> list[dict[str, Any]]:
        """Return all that is published."""
        return [one for some in self.published for one in some]


@pytest.fixture
def dispatcher() -> Dispatcher:
    """Give a dispatcher that is asked for everything."""
    return Dispatcher()


@pytest.fixture
def task_events(dispatcher: Dispatcher) -> TaskEvents:
    """Give the task events of a connection, sent when flushed."""
    consumer = SimpleNamespace(event_dispatcher=dispatcher)
    return TaskEvents(consumer, enabled=True, call_later=lambda *_: None)


def held(id_: str = "ev_1") -> Held:
    """Hold a plain message of one update."""
    update = validate({"id": id_, "status": "completed"})
    item = single(update).item()  # type: ignore[arg-type]
    plain = read_plain(fetched(item), max_updates=10)
    assert plain is not None
    return plain


def outcome(reason: Any) -> Outcome:
    """Make an outcome."""
    told = outcome_of("m", StatusUpdate(id="ev_1", status="completed"), None)
    return msgspec.structs.replace(told, updated=reason is None, reason=reason)


def batch(*items: Held) -> Batch[Held]:
    """Make a batch of them."""
    return Batch(1, items, len(items), Why.SLOT, 0.0)


def test_a_message_is_received_started_and_succeeded(
    task_events: TaskEvents, dispatcher: Dispatcher
) -> None:
    """Under its own id, with its name, arguments, runtime and result."""
    one = held()
    task_events.received([one])
    task_events.started([one])
    done = Done(summarize([[outcome("already_failed")]]), {"applied": 1.0, "published": 0.5})
    task_events.settled(batch(one), done)
    assert not dispatcher.published
    task_events.flush()
    received, started, succeeded = dispatcher.task_events
    assert {shown["uuid"] for shown in dispatcher.task_events} == {one.message.id}
    assert {one["name"] for one in dispatcher.task_events} == {"events.update_status"}
    assert received["type"] == "task-received"
    assert received["kwargs"] == "{'id': 'ev_1', 'status': 'completed'}"
    assert received["root_id"] == one.message.id
    assert started["type"] == "task-started"
    assert succeeded["type"] == "task-succeeded"
    assert succeeded["result"] == "1 already_failed"
    assert succeeded["runtime"] == 1.5


def test_only_what_is_not_valid_has_failed(task_events: TaskEvents, dispatcher: Dispatcher) -> None:
    """With what is wrong as its exception; its neighbour has succeeded."""
    good, bad = held(), held()
    done = Done(summarize([[outcome(None)], [invalid("m", None, None, "status: must be")]]))
    task_events.settled(batch(good, bad), done)
    task_events.flush()
    by_id = {one["uuid"]: one for one in dispatcher.task_events}
    assert by_id[good.message.id]["type"] == "task-succeeded"
    assert by_id[bad.message.id]["type"] == "task-failed"
    assert by_id[bad.message.id]["exception"] == "1 invalid: status: must be"


def test_many_are_sent_in_bursts(task_events: TaskEvents, dispatcher: Dispatcher) -> None:
    """A few publications, not one for each; the first by itself, to see who is there."""
    task_events.received([held(str(number)) for number in range(TASK_EVENTS_AT_ONCE + 2)])
    task_events.flush()
    assert [len(some) for some in dispatcher.published] == [1, TASK_EVENTS_AT_ONCE, 1]


def test_nothing_is_written_for_nobody(task_events: TaskEvents, dispatcher: Dispatcher) -> None:
    """Only the first, by which it is seen that nobody is there; a moment later somebody may be."""
    dispatcher.is_heard = False
    task_events.received([held(), unreadable()])
    task_events.started([held(), unreadable()])
    task_events.flush()
    assert len(dispatcher.task_events) == 1
    assert not task_events.are_heard
    dispatcher.is_heard = True
    one = held()
    task_events.started([one, held()])
    task_events.flush()
    assert [shown["uuid"] for shown in dispatcher.task_events][1:2] == [one.message.id]
    assert len(dispatcher.task_events) == 3
    assert task_events.are_heard


def unreadable() -> Held:
    """Hold a message of which nothing may be read any more."""
    return held()._replace(delivery=None, shown=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "byte_count"),
    [
        pytest.param(MOST_TASK_EVENTS, 0, id="many"),
        pytest.param(1, MOST_BYTES, id="large"),
    ],
)
def test_messages_are_not_kept_for_long(
    task_events: TaskEvents, dispatcher: Dispatcher, count: int, byte_count: int
) -> None:
    """Before many, or large ones, are kept for what is to be said of them, it is said."""
    one = held()._replace(byte_count=byte_count)
    for _ in range(count - 1):
        task_events.received([one])
    assert not dispatcher.published
    task_events.received([one])
    assert len(dispatcher.task_events) == count
    assert dispatcher.byte_count == count * byte_count
    task_events.started([one])
    task_events.flush()
    assert dispatcher.byte_count == 0


def test_what_cannot_be_shown_is_left_out(task_events: TaskEvents, dispatcher: Dispatcher) -> None:
    """Whoever sent it, the message is settled, and its neighbours are shown."""
    message = SimpleNamespace(headers={"root_id": "\ud800"})
    strange = held()._replace(delivery=Received(message), shown=None)
    task_events.received([held(), strange, held()])
    task_events.flush()
    assert [one["type"] for one in dispatcher.task_events] == ["task-received"] * 2


@pytest.mark.parametrize(
    ("root_id", "shown"),
    [
        pytest.param("r" * 10_000, "r" * 255, id="a text without end"),
        pytest.param({"a": ["r" * 10_000]}, None, id="no text"),
    ],
)
def test_little_is_shown_of_what_is_large(
    task_events: TaskEvents, dispatcher: Dispatcher, root_id: Any, shown: str | None
) -> None:
    """Whichever way the message was read, a monitor is sent a bounded amount."""
    item = json.loads(single(validate({"id": "ev_1", "status": "completed"})).item())  # type: ignore[arg-type]
    item["headers"]["root_id"] = root_id
    plain = read_plain(fetched(json.dumps(item)), max_updates=10, shown=True)
    assert plain is not None
    task_events.received([plain])
    task_events.flush()
    ((one,),) = dispatcher.published
    assert one.get("root_id") == shown


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "by way of kombu"])
def test_ids_are_shown_of_who_says_nothing_to_show(
    task_events: TaskEvents, dispatcher: Dispatcher, plain: bool
) -> None:
    """A client in another language sends no `argsrepr`; its messages can be found all the same."""
    item = json.loads(bulk([StatusUpdate(f"ev_{n}", "failed") for n in range(9)]).item())
    del item["headers"]["argsrepr"], item["headers"]["kwargsrepr"]
    one = read_plain(fetched(json.dumps(item)), max_updates=10, shown=True)
    assert one is not None
    if not plain:
        message = SimpleNamespace(headers=item["headers"])
        one = one._replace(delivery=Received(message), shown=None)
    task_events.received([one])
    task_events.flush()
    ((shown,),) = dispatcher.published
    assert shown["args"] == "['ev_0', 'ev_1', … 7 more]"


@pytest.mark.parametrize("why", ["not enabled", "disabled", "other groups", "no dispatcher"])
def test_nothing_is_sent_that_nobody_asked_for(dispatcher: Dispatcher, why: str) -> None:
    """Nothing is even made."""
    consumer = SimpleNamespace(event_dispatcher=dispatcher)
    if why == "disabled":
        dispatcher.enabled = False
    elif why == "other groups":
        dispatcher.groups = {"worker"}
    elif why == "no dispatcher":
        consumer.event_dispatcher = None
    task_events = TaskEvents(consumer, enabled=why != "not enabled", call_later=lambda *_: None)
    task_events.received([held()])
    task_events.started([held()])
    task_events.given_back([held()])
    task_events.settled(batch(), Done(summarize([])))
    task_events.flush()
    assert not task_events.wanted
    assert not dispatcher.published


def test_what_goes_back_is_rejected(task_events: TaskEvents, dispatcher: Dispatcher) -> None:
    """And monitors are told that it comes again."""
    task_events.given_back([held()])
    task_events.flush()
    ((some,),) = dispatcher.published
    assert (some["type"], some["requeue"]) == ("task-rejected", True)
