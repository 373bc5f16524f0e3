"""The strategy between Celery and the slots: what is held, acknowledged, tried again."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from celery.worker import heartbeat, state

from service.lines import fields_of
from service.settings import Settings
from settle_client.update import StatusUpdate
from tasks.messages import InvalidUpdate
from tasks.status_updates import update_status
from tests.items import fetched
from worker import acknowledging
from worker.batching.breaker import FEWEST, SAMPLE
from worker.batching.room import MAX_BYTES
from worker.celery import app
from worker.job import Done, Job, NotDone
from worker.seams import inspecting
from worker.strategy import BatchStrategy
from worker.summary import Summary
from worker.transport.delivery import DELIVERY_COUNT
from worker.transport.redis import Channel
from worker.transport.redis.fetch import Pace
from worker.understanding.other import LAST_DELIVERY

if TYPE_CHECKING:
    from collections.abc import Iterator

DONE = Done(Summary(Counter(updated=1), (), b""), {"applied": 0.0, "published": 0.0})


class Delivered:
    """A message as kombu delivers it, which remembers what became of it."""

    content_type = "application/json"
    content_encoding = "utf-8"

    def __init__(self, message_id: str, args: Any = (), kwargs: Any = None, **headers: Any) -> None:
        self.headers = {"id": message_id, "task": "events.update_status", **headers}
        self.properties: dict[str, Any] = {}
        self.delivery_tag = message_id
        self.delivery_info = {"routing_key": "event-status-updates"}
        self.body = json.dumps([list(args), kwargs or {}, {}]).encode()
        self.acknowledged = self.given_back = False

    @property
    def payload(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.body)

    def ack_log_error(self, *_: Any) -> None:
        """Acknowledge."""
        self.acknowledged = True

    ack = ack_log_error

    def reject_log_error(self, *_: Any, requeue: bool) -> None:
        """Give back."""
        self.given_back = requeue


class Consumer:
    """A consumer whose event loop is turned by hand."""

    hub = None
    hostname = "test"
    event_dispatcher = None
    connection_errors = ()

    def __init__(self, slots: int = 1, channel: Any = None) -> None:
        self.connection: Any = SimpleNamespace(default_channel=channel)
        self.soon: deque[Any] = deque()
        self.later: list[Any] = []
        self.jobs: list[Any] = []
        self.pool = SimpleNamespace(num_processes=slots, apply_async=self._apply)
        self.timer = SimpleNamespace(call_after=self._call_after)
        self.qos = SimpleNamespace(increment_eventually=int, decrement_eventually=int)
        self.task_buckets: dict[str, Any] = {}
        self.stopped: list[str] = []
        self.stop_consuming = self.stopped.append

    def call_soon(self, function: Any, *args: Any) -> None:
        """Remember it for the next turn."""
        self.soon.append((function, args))

    def _call_after(self, seconds: float, function: Any, args: Any = ()) -> Any:
        timer = (seconds, function, args)
        self.later.append(timer)
        return SimpleNamespace(cancel=lambda: self.later.remove(timer))

    def _apply(self, _: Any, args: tuple[Job], callback: Any, **__: Any) -> None:
        self.jobs.append((args[0], callback))

    def turn(self) -> None:
        """Do what is due."""
        while self.soon:
            function, args = self.soon.popleft()
            function(*args)

    def report(self, result: Any) -> None:
        """Let the oldest slot report."""
        self.jobs.pop(0)[1](result)
        self.turn()

    def wait(self) -> float:
        """Let the next timer fire, and say how long it took."""
        seconds, function, args = self.later.pop(0)
        function(*args)
        self.turn()
        return float(seconds)


@pytest.fixture(autouse=True)
def _nothing_revoked() -> Iterator[None]:
    yield
    state.reset_state()


@pytest.fixture
def consumer() -> Consumer:
    """Give a consumer with one slot."""
    return Consumer()


def strategy_of(consumer: Consumer, url: str = "memory://", **settings: Any) -> BatchStrategy:
    """Make the strategy of a consumer, by default on a broker of which nothing is known."""
    addresses: Any = {"CELERY_BROKER_URL": url, "outcome_url": "redis://127.0.0.1"}
    return BatchStrategy(update_status, app, consumer, Settings(**addresses, **settings))


@pytest.fixture
def strategy(consumer: Consumer) -> BatchStrategy:
    """Give its strategy."""
    return strategy_of(consumer)


def receive(strategy: BatchStrategy, *messages: Delivered) -> None:
    """Deliver messages in one turn of the loop."""
    for message in messages:
        strategy.receive(message)


def one(message_id: str, **headers: Any) -> Delivered:
    """Make a message of one update."""
    return Delivered(message_id, kwargs={"id": "ev_1", "status": "completed"}, **headers)


def test_messages_of_one_turn_leave_together(strategy: BatchStrategy, consumer: Consumer) -> None:
    """In the order in which they came."""
    receive(strategy, one("a"), one("b"), one("c"))
    assert not consumer.jobs
    consumer.turn()
    ((job, _),) = consumer.jobs
    assert [message.id for message in job.messages] == ["a", "b", "c"]


def test_messages_fill_the_next_batch_while_the_slot_is_taken(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """They leave together when the slot reports."""
    receive(strategy, one("a"))
    consumer.turn()
    for name in "bcd":
        receive(strategy, one(name))
        consumer.turn()
    assert len(consumer.jobs) == 1
    consumer.report(DONE)
    ((job, _),) = consumer.jobs
    assert [message.id for message in job.messages] == ["b", "c", "d"]


def test_nothing_is_acknowledged_before_the_slot_is_done(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """And then everything of its batch is."""
    messages = [one("a"), one("b")]
    receive(strategy, *messages)
    consumer.turn()
    assert not any(message.acknowledged for message in messages)
    consumer.report(DONE)
    assert all(message.acknowledged for message in messages)
    assert not strategy.busy


def test_a_message_is_answered_where_it_came_from(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """Asking a lost connection for its channel would make another, which nobody consumes by."""
    revoked, settled = one("a"), one("b")
    receive(strategy, revoked, settled)
    consumer.connection = None
    state.revoked.add("a")
    consumer.turn()
    ((job, _),) = consumer.jobs
    assert [message.id for message in job.messages] == ["b"]
    consumer.report(DONE)
    assert revoked.acknowledged
    assert settled.acknowledged


AWAY = NotDone("TransientDatabaseError", "PostgreSQL is away", expected=True)
BROKEN = NotDone("DatabaseError", "permission denied", expected=False)


def test_a_batch_is_held_and_tried_again_while_a_server_is_away(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """The same batch, later, in the same slot, without acknowledging anything."""
    message = one("a")
    receive(strategy, message)
    consumer.turn()
    pauses, keys = [], set()
    for _ in range(12):
        consumer.report(AWAY)
        assert not consumer.jobs
        assert not message.acknowledged
        pauses.append(consumer.wait())
        assert [m.id for m in consumer.jobs[0][0].messages] == ["a"]
        keys.add(consumer.jobs[0][0].key)
    assert len(keys) == 1
    assert 0 < pauses[0] < 1
    assert 1 < pauses[-1] <= 10
    consumer.report(DONE)
    assert message.acknowledged


@pytest.mark.parametrize("report", [AWAY, BROKEN], ids=["to be tried again", "to go back"])
def test_a_batch_that_waits_is_held_for_as_long_as_it_takes(report: NotDone) -> None:
    """The transport learns what is worked on, that nobody does, and when somebody does again."""
    channel = bare_channel()
    noted: list[tuple[str, list[str]]] = []

    def note(name: str, tags: list[str]) -> Any:
        noted.append((name, tags))
        return nullcontext()

    for name in ("begin", "pause", "resume"):
        setattr(channel, name, partial(note, name))
    channel.give_back = lambda *_, **__: None
    consumer = Consumer(channel=channel)
    receive(strategy_of(consumer, "redis://127.0.0.1"), one("a"), one("b"))
    assert not noted
    consumer.turn()
    assert noted == [("begin", ["a", "b"])]
    consumer.report(report)
    assert noted[1:] == [("pause", ["a", "b"])]
    consumer.wait()
    assert noted[2:] == [("resume", ["a", "b"])]


def bare_channel() -> Any:
    """Return a channel that is connected to nothing."""
    channel: Any = Channel.__new__(Channel)
    channel._pace = Pace()
    channel.begin = lambda _: nullcontext()
    return channel


def test_trouble_is_logged_once_and_its_end_too(
    strategy: BatchStrategy, consumer: Consumer, caplog: pytest.LogCaptureFixture
) -> None:
    """However many tries there were."""
    caplog.set_level("INFO")
    receive(strategy, one("a"))
    consumer.turn()
    for _ in range(5):
        consumer.report(AWAY)
        consumer.wait()
    consumer.report(DONE)
    began, over = (record for record in caplog.records if "batches" in record.getMessage())
    assert "PostgreSQL is away" in fields_of(began)["error"]
    assert fields_of(over)["tries"] == 5


def test_a_batch_that_nobody_expected_to_fail_goes_back(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """After a pause that grows, for another worker may do better and this one is not to be busy."""
    pauses = []
    for number in range(12):
        message = one(str(number))
        receive(strategy, message)
        consumer.turn()
        consumer.report(BROKEN)
        assert not message.given_back
        pauses.append(consumer.wait())
        assert message.given_back
        assert not message.acknowledged
    assert not strategy.busy
    assert pauses[0] < 1 < pauses[-1] <= 10


IN_DOUBT = NotDone("DatabaseError", "P0001: the period is closed", expected=False, in_doubt=True)
SETTLED = Done(DONE.summary, DONE.seconds, changed=1)


def ids_of(job: Job) -> list[str | None]:
    """Return the message ids of a job."""
    return [message.id for message in job.messages]


def test_what_is_in_doubt_takes_no_slot(strategy: BatchStrategy, consumer: Consumer) -> None:
    """Three such messages would stop a worker of three slots."""
    for name in "abc":
        receive(strategy, one(name))
        consumer.turn()
        consumer.report(IN_DOUBT)
    assert strategy.load.slots_taken == 0
    assert (strategy.load.slot_messages, strategy.load.slot_updates) == (3, 3)
    assert strategy.busy
    assert [held.message.id for held in strategy.in_slots()] == ["a", "b", "c"]
    receive(strategy, one("d"))
    consumer.turn()
    assert [ids_of(job) for job, _ in consumer.jobs] == [["d"]]


def test_what_is_in_doubt_is_to_blame_when_others_succeed(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """Then it is tried again at once, together, and answered."""
    doubtful = [one("a"), one("b")]
    for message in doubtful:
        receive(strategy, message)
        consumer.turn()
        consumer.report(IN_DOUBT)
    receive(strategy, one("c"))
    consumer.turn()
    assert not consumer.jobs[0][0].others_succeed
    consumer.report(SETTLED)
    ((job, _),) = consumer.jobs
    assert (ids_of(job), job.others_succeed) == (["a", "b"], True)
    consumer.report(DONE)
    assert all(message.acknowledged for message in doubtful)
    assert not strategy.busy


@pytest.mark.parametrize(
    ("report", "cleared"), [(DONE, False), (SETTLED, True)], ids=["settled none", "settled some"]
)
def test_only_a_try_that_settled_events_clears_a_doubt(
    strategy: BatchStrategy, consumer: Consumer, report: Done, cleared: bool
) -> None:
    """What was answered off settled rows says nothing of whether one can be settled."""
    receive(strategy, one("a"))
    consumer.turn()
    consumer.report(IN_DOUBT)
    receive(strategy, one("b"))
    consumer.turn()
    consumer.report(report)
    assert [job.others_succeed for job, _ in consumer.jobs] == [True] * cleared


def test_a_try_that_began_earlier_clears_no_doubt() -> None:
    """Whatever is wrong may have begun in between."""
    consumer = Consumer(slots=2)
    strategy = strategy_of(consumer, batch_max_updates=1)
    for name in "ab":
        receive(strategy, one(name))
        consumer.turn()
    earlier = consumer.jobs.pop(0)
    consumer.report(IN_DOUBT)
    earlier[1](SETTLED)
    consumer.turn()
    assert not consumer.jobs


@pytest.mark.parametrize("order", [[0, 1], [1, 0]], ids=["failed later", "failed first"])
def test_a_try_beside_it_clears_what_is_less_than_it_settled(order: list[int]) -> None:
    """Or the last one of many would wait for the next to come, which may be long."""
    consumer = Consumer(slots=2)
    strategy = strategy_of(consumer, batch_max_updates=1)
    for name in "ab":
        receive(strategy, one(name))
        consumer.turn()
    reports = (Done(DONE.summary, DONE.seconds, changed=2), IN_DOUBT)
    tries, consumer.jobs = consumer.jobs, []
    for place in order:
        tries[place][1](reports[place])
        consumer.turn()
    ((job, _),) = consumer.jobs
    assert (ids_of(job), job.others_succeed) == (["b"], True)


def test_a_try_that_was_over_clears_nothing(strategy: BatchStrategy, consumer: Consumer) -> None:
    """Whatever is wrong may have begun since."""
    receive(strategy, one("a"))
    consumer.turn()
    consumer.report(Done(DONE.summary, DONE.seconds, changed=1_000))
    receive(strategy, one("b"))
    consumer.turn()
    consumer.report(IN_DOUBT)
    assert not consumer.jobs


def test_what_is_in_doubt_is_tried_again_in_case_the_trouble_is_over(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """After a pause that grows, together, and not as if others had succeeded."""
    messages = [one("a"), one("b")]
    for message in messages:
        receive(strategy, message)
        consumer.turn()
        consumer.report(IN_DOUBT)
    pauses = []
    for _ in range(12):
        (timer,) = consumer.later
        pauses.append(timer[0])
        consumer.wait()
        ((job, _),) = consumer.jobs
        assert (ids_of(job), job.others_succeed) == (["a", "b"], False)
        consumer.report(IN_DOUBT)
    assert pauses[0] < 1 < pauses[-1] <= 10
    consumer.wait()
    consumer.report(SETTLED)
    assert all(message.acknowledged for message in messages)
    assert not strategy.busy


def test_what_is_in_doubt_waits_for_a_slot(strategy: BatchStrategy, consumer: Consumer) -> None:
    """Before what came later."""
    receive(strategy, one("a"))
    consumer.turn()
    consumer.report(IN_DOUBT)
    receive(strategy, one("b"))
    consumer.turn()
    receive(strategy, one("c"))
    consumer.wait()
    assert [ids_of(job) for job, _ in consumer.jobs] == [["b"]]
    consumer.report(DONE)
    assert [ids_of(job) for job, _ in consumer.jobs] == [["a"]]


def test_what_the_broker_does_not_take_over_stays_in_doubt(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is tried beside the rest of its batch, each part of which has a slot of its own."""
    consumer.pool.num_processes = 3
    strategy = strategy_of(consumer, batch_max_updates=2)
    refused: list[Any] = []
    monkeypatch.setattr(strategy._deliveries, "delay", lambda *args: refused.append(args[-1]))
    messages = [one(name) for name in "abcd"]
    for pair in (messages[:2], messages[2:]):
        receive(strategy, *pair)
        consumer.turn()
    consumer.report(IN_DOUBT)
    consumer.report(IN_DOUBT)
    consumer.wait()
    (stay,) = refused
    stay()
    consumer.wait()
    assert [ids_of(job) for job, _ in consumer.jobs] == [["b", "c", "d"], ["a"]]
    consumer.report(SETTLED)
    consumer.report(SETTLED)
    assert all(message.acknowledged for message in messages)
    assert not strategy.busy


def test_the_neighbours_of_what_is_in_doubt_are_acknowledged(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """The rest of the batch is held."""
    messages = [one("a"), one("b"), one("c")]
    receive(strategy, *messages)
    consumer.turn()
    consumer.report(Done(DONE.summary, DONE.seconds, 0, 0b010, IN_DOUBT))
    assert [message.acknowledged for message in messages] == [True, False, True]
    assert [held.message.id for held in strategy.in_slots()] == ["b"]
    consumer.wait()
    assert [ids_of(job) for job, _ in consumer.jobs] == [["b"]]


def test_what_is_in_doubt_goes_back_at_a_stop(strategy: BatchStrategy, consumer: Consumer) -> None:
    """As anything that could not be finished; what turns out so later, too."""
    messages = [one("a"), one("b")]
    receive(strategy, messages[0])
    consumer.turn()
    consumer.report(IN_DOUBT)
    receive(strategy, messages[1])
    consumer.turn()
    strategy.stop()
    assert [message.given_back for message in messages] == [True, False]
    consumer.report(IN_DOUBT)
    assert [message.given_back for message in messages] == [True, True]
    assert not strategy.busy
    assert not consumer.later


def test_what_is_in_doubt_is_forgotten_with_its_connection(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """The broker delivers it again."""
    receive(strategy, one("a"))
    consumer.turn()
    consumer.report(IN_DOUBT)
    strategy.abandon()
    consumer.wait()
    assert not consumer.jobs
    assert not strategy.busy


def test_what_is_in_doubt_is_held_for_as_long_as_it_takes() -> None:
    """The transport learns that nobody works on it, and when somebody does again."""
    channel = bare_channel()
    parked: set[str] = set()
    paused: set[str] = set()
    channel.park, channel.unpark = parked.add, parked.discard
    channel.begin = lambda _: nullcontext()
    channel.pause, channel.resume = paused.update, paused.difference_update
    consumer = Consumer(channel=channel)
    receive(strategy_of(consumer, "redis://127.0.0.1"), one("a"), one("b"))
    consumer.turn()
    consumer.report(IN_DOUBT)
    assert parked == paused == {"a", "b"}
    consumer.wait()
    assert parked == paused == set()


TOO_LONG = NotDone(
    "TransientDatabaseError", "55P03: lock timeout", expected=True, took_too_long=True
)


def test_what_took_too_long_is_tried_by_halves(consumer: Consumer) -> None:
    """One at a time and without keeping a slot, until what is late stands alone."""
    consumer.pool.num_processes = 2
    strategy = strategy_of(consumer)
    messages = [one(name) for name in "abcd"]
    receive(strategy, *messages)
    consumer.turn()
    consumer.report(TOO_LONG)
    assert (strategy.load.slots_taken, strategy.load.slot_updates) == (0, 4)
    tried = []
    while not all(each.acknowledged for each in messages[1:]):
        consumer.wait()
        ((job, _),) = consumer.jobs
        tried.append("".join(map(str, ids_of(job))))
        consumer.report(TOO_LONG if "a" in ids_of(job) else SETTLED)
    assert tried == ["ab", "cd", "a", "b"]
    assert [held.message.id for held in strategy.in_slots()] == ["a"]
    assert not messages[0].acknowledged
    pauses = []
    for _ in range(10):
        pauses.append(consumer.wait())
        assert [ids_of(job) for job, _ in consumer.jobs] == [["a"]]
        consumer.report(TOO_LONG)
    assert pauses[0] < 1 < pauses[-1] <= 10
    consumer.wait()
    consumer.report(SETTLED)
    assert messages[0].acknowledged
    assert not strategy.busy


def test_what_is_late_has_one_slot_and_others_the_rest(consumer: Consumer) -> None:
    """However many messages are late."""
    consumer.pool.num_processes = 3
    strategy = strategy_of(consumer, batch_max_updates=1)
    for name in "abc":
        receive(strategy, one(name))
        consumer.turn()
    for _ in range(3):
        consumer.report(TOO_LONG)
    consumer.wait()
    assert [ids_of(job) for job, _ in consumer.jobs] == [["a"]]
    assert not consumer.later
    receive(strategy, one("d"))
    consumer.turn()
    assert [ids_of(job) for job, _ in consumer.jobs] == [["a"], ["d"]]
    consumer.report(TOO_LONG)
    assert [ids_of(job) for job, _ in consumer.jobs] == [["d"]]
    consumer.wait()
    assert [ids_of(job) for job, _ in consumer.jobs] == [["d"], ["b"]]


def test_what_is_late_goes_back_at_a_stop(strategy: BatchStrategy, consumer: Consumer) -> None:
    """As anything that could not be finished."""
    messages = [one("a"), one("b")]
    receive(strategy, *messages)
    consumer.turn()
    consumer.report(TOO_LONG)
    strategy.stop()
    assert all(message.given_back for message in messages)
    assert not strategy.busy
    assert not consumer.later


def test_a_batch_fills_while_more_is_waiting() -> None:
    """Our transport knows; a timer makes sure that nothing waits for ever."""
    channel = bare_channel()
    channel._pace.more_waiting = True
    consumer = Consumer(channel=channel)
    strategy = strategy_of(consumer, "redis://127.0.0.1")
    receive(strategy, one("a"))
    consumer.turn()
    assert not consumer.jobs
    receive(strategy, one("b"))
    consumer.turn()
    assert len(consumer.later) == 1
    channel._pace.more_waiting = False
    consumer.wait()
    ((job, _),) = consumer.jobs
    assert [message.id for message in job.messages] == ["a", "b"]


def test_what_the_transport_sets_aside_is_answered() -> None:
    """In turn, as any message that makes no sense, and acknowledged with its batch."""
    channel = bare_channel()
    acknowledged: list[str] = []
    channel.ack_many = acknowledged.extend
    consumer = Consumer(channel=channel)
    strategy_of(consumer, "redis://127.0.0.1")
    assert channel.on_set_aside
    channel.on_set_aside(fetched(b"42"), "it is not a message")
    consumer.turn()
    ((job, _),) = consumer.jobs
    assert job.messages[0].updates[0].error == "it is not a message"
    assert not acknowledged
    consumer.report(DONE)
    assert acknowledged == ["tag"]


def test_room_is_counted_in_bytes_too() -> None:
    """From when messages come until they are acknowledged, what is not valid with what is kept."""
    channel = bare_channel()
    channel.ack_many = list
    consumer = Consumer(channel=channel)
    strategy_of(consumer, "redis://127.0.0.1")
    # Kept whole, because it can be read and is not valid.
    large = fetched(json.dumps("x" * (MAX_BYTES // 4)))
    for held in range(9):
        assert channel.is_overfull() == (held >= 8)
        assert bool(channel.room()) == (held < 4)
        channel.on_set_aside(large, "it is not a message")
    consumer.turn()
    assert channel.is_overfull()
    consumer.report(DONE)
    assert not channel.is_overfull()
    assert channel.room()


def test_a_lost_slot_does_not_lose_its_batch(strategy: BatchStrategy, consumer: Consumer) -> None:
    """It goes back; our transport counts that, for a message of it may be what killed the slot."""
    message = one("a")
    receive(strategy, message)
    consumer.turn()
    consumer.report(RuntimeError("the child was killed"))
    assert message.given_back
    assert not strategy.busy


def test_what_a_lost_connection_delivered_is_forgotten(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """A late report acknowledges nothing and starts nothing: the broker delivers it all again."""
    first, second = one("a"), one("b")
    receive(strategy, first)
    consumer.turn()
    receive(strategy, second)
    strategy.abandon()
    assert not strategy.busy
    consumer.report(DONE)
    assert not first.acknowledged
    assert not second.acknowledged
    assert not consumer.jobs


def test_stopping_sends_what_is_held(strategy: BatchStrategy, consumer: Consumer) -> None:
    """It leaves as slots become free, until nothing is held."""
    receive(strategy, one("a"))
    consumer.turn()
    receive(strategy, one("b"))
    strategy.stop()
    consumer.report(DONE)
    assert strategy.busy
    consumer.report(DONE)
    assert not strategy.busy


def test_stopping_tries_nothing_twice(strategy: BatchStrategy, consumer: Consumer) -> None:
    """What cannot be finished stays unacknowledged, for the broker to deliver again."""
    message = one("a")
    receive(strategy, message)
    consumer.turn()
    strategy.stop()
    consumer.report(AWAY)
    assert not strategy.busy
    assert message.given_back
    assert not consumer.later


@pytest.mark.parametrize("report", [AWAY, BROKEN], ids=["to be tried again", "to go back"])
def test_stopping_ends_every_pause(
    strategy: BatchStrategy, consumer: Consumer, report: NotDone
) -> None:
    """What waits for another try goes back at once."""
    message = one("a")
    receive(strategy, message)
    consumer.turn()
    consumer.report(report)
    strategy.stop()
    assert message.given_back
    assert not strategy.busy
    assert not consumer.later


def test_a_message_that_is_not_understood_travels_with_the_others(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """It is answered in turn."""
    receive(strategy, one("a"), Delivered("b", args=["nonsense"]), one("c"))
    consumer.turn()
    ((job, _),) = consumer.jobs
    assert [message.id for message in job.messages] == ["a", "b", "c"]


def test_a_pickle_is_not_opened(strategy: BatchStrategy, consumer: Consumer) -> None:
    """Another content type than JSON is refused unread."""
    message = one("a")
    message.content_type = "application/x-python-serialize"
    message.body = b"cos\nsystem\n(S'false'\ntR."
    receive(strategy, message)
    consumer.turn()
    ((job, _),) = consumer.jobs
    assert "content type" in job.messages[0].updates[0].error


def test_a_delayed_message_waits_for_its_time(strategy: BatchStrategy, consumer: Consumer) -> None:
    """Only then it is held, and it can be looked up meanwhile."""
    eta = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + 3600))
    receive(strategy, one("a", eta=eta))
    consumer.turn()
    assert not consumer.jobs
    assert "a" in state.requests
    assert consumer.wait() == pytest.approx(3600, abs=2)
    assert len(consumer.jobs) == 1
    assert "a" not in state.requests


def test_what_the_broker_is_to_hold_keeps_its_body(
    strategy: BatchStrategy, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy is made of it, later and in another thread; what is held here needs none."""
    left: list[tuple[Any, Any]] = []
    monkeypatch.setattr(
        strategy._deliveries, "delay", lambda it, _, otherwise: left.append((it, otherwise))
    )
    receive(strategy, one("a", eta="2999-01-01T00:00:00+00:00"))
    ((delivery, otherwise),) = left
    message = delivery.to_message(None)
    assert json.loads(message.body)
    otherwise()
    assert not message.body
    assert not consumer.jobs


def test_an_expired_message_is_dropped(strategy: BatchStrategy, consumer: Consumer) -> None:
    """That is what its producer asked for; it is acknowledged and not applied."""
    message = one("a", expires="2020-01-01T00:00:00+00:00")
    receive(strategy, message)
    consumer.turn()
    assert message.acknowledged
    assert not consumer.jobs


@pytest.mark.parametrize("moment", ["before it comes", "while it is held"])
def test_a_revoked_message_is_dropped(
    strategy: BatchStrategy, consumer: Consumer, moment: str
) -> None:
    """Also when it is revoked while it waits for a slot."""
    message, other = one("revoked"), one("other")
    if moment == "before it comes":
        state.revoked.add("revoked")
    receive(strategy, message, other)
    state.revoked.add("revoked")
    consumer.turn()
    ((job, _),) = consumer.jobs
    assert [m.id for m in job.messages] == ["other"]
    assert message.acknowledged


OLD = "2020-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"expires": OLD}, id="expired"),
        pytest.param({}, id="revoked"),
        pytest.param({"stamped_headers": ["of"], "stamps": {"of": ["us"]}}, id="by a stamp"),
        pytest.param({"stamped_headers": ["of"], "stamps": {"of": "us"}}, id="by the one stamp"),
    ],
)
@pytest.mark.parametrize("came_before", ["redelivered", "x-delivery-count", ""])
def test_what_may_have_been_applied_is_looked_up_before_it_is_dropped(
    strategy: BatchStrategy, consumer: Consumer, headers: dict[str, Any], came_before: str
) -> None:
    """A slot does that; what comes for the first time is dropped at once."""
    if "stamps" in headers:
        state.revoked_stamps["of"] = ["us", "them"]
    elif not headers:
        state.revoked.add("a")
    message = one("a", **headers, **({came_before: 1} if came_before else {}))
    receive(strategy, one("b"), message)
    consumer.turn()
    ((job, _),) = consumer.jobs
    if not came_before:
        assert [each.id for each in job.messages] == ["b"]
        assert message.acknowledged
        return
    assert [each.id for each in job.messages] == ["b", "a"]
    assert job.in_question == (1,)
    assert not message.acknowledged
    consumer.report(replace(DONE, dropped=0b10))
    assert message.acknowledged
    assert not strategy.busy


def error_of(job: Job) -> str:
    """Return why the first message of a job is refused."""
    (update,) = job.messages[0].updates
    assert isinstance(update, InvalidUpdate)
    return update.error


def test_what_came_too_often_is_looked_up_before_it_is_refused(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """If it was not applied it is answered in a batch of its own, as what it is refused for."""
    message = one("a", **{DELIVERY_COUNT: LAST_DELIVERY})
    receive(strategy, one("b"), message)
    consumer.turn()
    ((job, _),) = consumer.jobs
    assert ([each.id for each in job.messages], job.in_question) == (["b", "a"], (1,))
    assert all(isinstance(each.updates[0], StatusUpdate) for each in job.messages)
    consumer.report(replace(DONE, dropped=0b10))
    assert not message.acknowledged
    consumer.turn()
    ((job, _),) = consumer.jobs[-1:]
    assert ([each.id for each in job.messages], job.in_question) == (["a"], ())
    assert "delivered 18 times" in error_of(job)
    consumer.report(DONE)
    assert message.acknowledged
    assert not strategy.busy


def test_what_ends_whoever_looks_it_up_is_refused_unread(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """It came once more than that."""
    receive(strategy, one("a", **{DELIVERY_COUNT: LAST_DELIVERY + 1}))
    consumer.turn()
    ((job, _),) = consumer.jobs
    assert not job.in_question
    assert "delivered 19 times" in error_of(job)


def test_what_is_dropped_leaves_what_is_in_doubt(
    strategy: BatchStrategy, consumer: Consumer, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is found by its place in the whole batch; what is held apart still is in question."""
    caplog.set_level("INFO")
    old = {"expires": OLD, "redelivered": 1}
    messages = [one("dropped", **old), one("doubted", **old), one("settled")]
    receive(strategy, *messages)
    consumer.turn()
    consumer.report(replace(DONE, dropped=0b001, doubtful=0b010, doubt=IN_DOUBT))
    assert [message.acknowledged for message in messages] == [True, False, True]
    dropped = [line for line in caplog.records if line.getMessage() == "message dropped"]
    assert [fields_of(line)["message_id"] for line in dropped] == ["dropped"]
    consumer.wait()
    ((job, _),) = consumer.jobs
    assert (ids_of(job), job.in_question) == (["doubted"], (0,))


def test_a_stamp_that_nobody_revoked_drops_nothing(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """Nor does one that the message does not carry."""
    state.revoked_stamps["of"] = ["them"]
    stamped = {"stamped_headers": ["of", "by"], "stamps": {"of": "us", "by": "them"}}
    receive(strategy, one("a", **stamped), one("b", stamped_headers=["of"]))
    consumer.turn()
    ((job, _),) = consumer.jobs
    assert [each.id for each in job.messages] == ["a", "b"]
    assert job.in_question == ()


def test_a_dropped_message_is_told_of(
    strategy: BatchStrategy, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the log, and as a result to those who asked for one; nothing waits for that."""
    caplog.set_level("INFO")
    added: list[Any] = []
    store = SimpleNamespace(
        add=lambda results, *, hold_seconds: added.extend([hold_seconds, *results])
    )
    monkeypatch.setattr(acknowledging, "result_store", lambda: store)
    receive(strategy, one("a", expires=OLD), one("b", expires=OLD, ignore_result=True))
    lines = [fields_of(record) for record in caplog.records]
    assert lines == [{"message_id": id_, "why": "expired"} for id_ in "ab"]
    hold_seconds, result = added
    assert (hold_seconds, result.message_id, str(result.value)) == (0, "a", "expired")


def test_a_nonsensical_eta_is_answered(strategy: BatchStrategy, consumer: Consumer) -> None:
    """It is an invalid message, not a crash."""
    receive(strategy, one("a", eta="tomorrow"))
    consumer.turn()
    ((job, _),) = consumer.jobs
    assert "ETA" in job.messages[0].updates[0].error


def test_a_queue_of_rubbish_is_not_made_into_dead_letters(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """Consuming stops, what is not valid goes back, and what is valid is settled."""
    good = one("good")
    bad = [Delivered(str(number), args=["nonsense"]) for number in range(FEWEST)]
    receive(strategy, good, *bad)
    assert consumer.stopped == ["99% of the latest messages are not valid"]
    assert all(message.given_back for message in bad[SAMPLE : FEWEST - 1])
    consumer.turn()
    # Something is to be seen of them.
    kept = [message.id for message in consumer.jobs[0][0].messages]
    assert kept == ["good", *map(str, range(SAMPLE))]
    consumer.report(DONE)
    assert good.acknowledged
    assert all(message.acknowledged for message in bad[:SAMPLE])


def test_what_was_on_its_way_when_consuming_stopped_goes_back(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """There is one sample, and one line in the log."""
    late = [Delivered(f"late-{number}", args=["nonsense"]) for number in range(FEWEST)]
    receive(strategy, *(Delivered(str(n), args=["nonsense"]) for n in range(FEWEST)))
    receive(strategy, *late)
    assert all(message.given_back for message in late)
    assert len(consumer.stopped) == 1


def test_what_is_consumed_again_is_let_through(strategy: BatchStrategy, consumer: Consumer) -> None:
    """By who has seen to it, though it is what lay first in the queue."""
    receive(strategy, *(Delivered(str(n), args=["nonsense"]) for n in range(FEWEST)))
    strategy.on_resumed()
    again = [Delivered(f"again-{number}", args=["nonsense"]) for number in range(FEWEST)]
    receive(strategy, *again)
    assert len(consumer.stopped) == 1
    assert not any(message.given_back for message in again)


def test_a_rate_limit_lets_some_leave_together_and_the_rest_wait(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """And when it is lifted nothing waits any longer."""
    consumer.task_buckets["events.update_status"] = SimpleNamespace(fill_rate=2.0)
    receive(strategy, *map(one, "abcde"))
    consumer.turn()
    assert [message.id for message in consumer.jobs[0][0].messages] == ["a", "b"]
    consumer.report(DONE)
    assert not consumer.jobs
    assert consumer.wait() == pytest.approx(1.0, abs=0.1)
    consumer.task_buckets.clear()
    strategy.on_rate_limit()
    assert [message.id for message in consumer.jobs[0][0].messages] == ["c", "d", "e"]


def test_a_stop_under_a_rate_limit_gives_back_what_may_not_leave(
    strategy: BatchStrategy, consumer: Consumer
) -> None:
    """It would take too long."""
    consumer.task_buckets["events.update_status"] = SimpleNamespace(fill_rate=1.0)
    messages = [one("a"), one("b")]
    receive(strategy, *messages)
    consumer.turn()
    strategy.stop()
    assert messages[1].given_back
    consumer.report(DONE)
    assert messages[0].acknowledged
    assert not strategy.busy


def test_what_comes_beside_a_batch_waits_for_company(consumer: Consumer) -> None:
    """Not for one that is tried again, nor for one that takes too long: that may last."""
    consumer.pool.num_processes = 3
    strategy = strategy_of(consumer)
    for name in "ab":
        receive(strategy, one(name))
        consumer.turn()
    assert [ids_of(job) for job, _ in consumer.jobs] == [["a"]]
    consumer.report(AWAY)
    receive(strategy, one("c"))
    consumer.turn()
    assert [ids_of(job) for job, _ in consumer.jobs] == [["b", "c"]]
    time.sleep(strategy._settings.batch_max_wait_seconds)
    receive(strategy, one("d"))
    consumer.turn()
    assert [ids_of(job) for job, _ in consumer.jobs] == [["b", "c"], ["d"]]


def test_the_more_slots_are_busy_the_more_company_is_waited_for(consumer: Consumer) -> None:
    """A third of a full batch beside one of three, two thirds beside two."""
    consumer.pool.num_processes = 3
    strategy = strategy_of(consumer, batch_max_updates=6)
    for name in "abcdefg":
        receive(strategy, one(name))
        consumer.turn()
    assert [ids_of(job) for job, _ in consumer.jobs] == [["a"], ["b", "c"], [*"defg"]]


def test_nothing_waits_for_what_was_in_doubt(consumer: Consumer) -> None:
    """What is tried again may fail again, for as long as the trouble lasts."""
    consumer.pool.num_processes = 3
    strategy = strategy_of(consumer)
    receive(strategy, one("a"))
    consumer.turn()
    consumer.report(IN_DOUBT)
    consumer.wait()
    receive(strategy, one("b"))
    consumer.turn()
    assert [ids_of(job) for job, _ in consumer.jobs] == [["a"], ["b"]]


def test_a_pool_that_grows_is_used(consumer: Consumer) -> None:
    """What waits begins at once."""
    strategy = strategy_of(consumer, batch_max_updates=1)
    receive(strategy, one("a"))
    consumer.turn()
    receive(strategy, one("b"))
    consumer.turn()
    assert len(consumer.jobs) == 1
    consumer.pool.num_processes = 2
    strategy.on_pool_resized()
    assert len(consumer.jobs) == 2


def test_a_heartbeat_tells_how_many_messages_are_worked_on(
    strategy: BatchStrategy, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in slots, and none of those that wait for one; before there is a strategy, none."""
    monkeypatch.setattr(heartbeat, "active_requests", heartbeat.active_requests)
    celerys = SimpleNamespace(strategy=None)
    inspecting.install(celerys)
    sent: list[int] = []
    eventer = SimpleNamespace(
        on_enabled=set(), on_disabled=set(), send=lambda *_, active, **__: sent.append(active)
    )
    heart = heartbeat.Heart(consumer.timer, eventer)
    heart._send("worker-heartbeat")
    celerys.strategy = strategy
    receive(strategy, one("a"), one("b"))
    consumer.turn()
    receive(strategy, one("c"))
    heart._send("worker-heartbeat")
    consumer.report(DONE)
    heart._send("worker-heartbeat")
    consumer.report(DONE)
    heart._send("worker-heartbeat")
    assert sent == [0, 2, 1, 0]


def test_messages_in_batches_can_be_looked_at(strategy: BatchStrategy, consumer: Consumer) -> None:
    """Those in slots are active, those that wait for one are reserved."""
    panel = SimpleNamespace(
        consumer=SimpleNamespace(strategy=strategy), tset=set, app=app, hostname="test"
    )
    receive(strategy, one("a"), Delivered("x", args=["nonsense"]))
    consumer.turn()
    receive(strategy, one("b"))
    assert [info["id"] for info in inspecting.active(panel)] == ["a", "x"]
    (info,) = inspecting.reserved(panel)
    assert (info["id"], info["name"]) == ("b", "events.update_status")
    found = inspecting.query_task(panel, ["a", "b", "unknown"])
    assert {id_: what for id_, (what, _) in found.items()} == {"a": "active", "b": "reserved"}
    consumer.report(DONE)
    consumer.report(DONE)
    assert not inspecting.active(panel)
