"""What RabbitMQ is answered, and how much is fetched of it: the frames, on a stand-in."""

from __future__ import annotations

from itertools import zip_longest
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from settle_client.names import QUEUE
from worker.transport.broker import Receiver
from worker.transport.delivery import Received
from worker.transport.rabbitmq.deliveries import InRuns
from worker.transport.rabbitmq.frames import ACK

if TYPE_CHECKING:
    from collections.abc import Sequence


class Consumer:
    """Celery's consumer, its channel and its loop, which remember how they are called."""

    def __init__(self) -> None:
        self.frames: list[tuple[Any, ...]] = []
        self.soon: list[Any] = []
        self.consumes_from = {QUEUE}
        self.initial_prefetch_count: int | None = None
        self.connection = SimpleNamespace(
            default_channel=SimpleNamespace(
                channel_id=1,
                connection=SimpleNamespace(
                    transport=SimpleNamespace(write=self._write), bytes_sent=0
                ),
                basic_reject=lambda tag, requeue: self.frames.append(("reject", tag, requeue)),
            )
        )
        self.task_consumer: Any = SimpleNamespace(
            consuming_from=lambda queue: queue in self.consumes_from,
            cancel=lambda: self.frames.append(("cancel",)),
            consume=lambda: self.frames.append(("consume",)),
            qos=lambda prefetch_count, apply_global: self.frames.append(
                ("qos", prefetch_count, apply_global)
            ),
        )

    def _write(self, frames: bytes) -> None:
        for at in range(0, len(frames), ACK.size):
            *_, tag, multiple, _ = ACK.unpack_from(frames, at)
            self.frames.append(("ack", tag, multiple))

    def call_soon(self, function: Any, *args: Any) -> None:
        """Remember it for the next turn."""
        self.soon.append((function, args))

    def turn(self) -> list[tuple[Any, ...]]:
        """Do what is due, and return the frames since the last turn."""
        while self.soon:
            function, args = self.soon.pop(0)
            function(*args)
        frames, self.frames = self.frames, []
        return frames


class Bench:
    """Deliveries with room for so many messages."""

    def __init__(self, capacity: int, *, settled: bool = True) -> None:
        self.capacity = self.room = capacity
        self.consumer = Consumer()

        def nothing(*_: Any) -> Any:
            """Take whatever comes."""

        receiver = Receiver(lambda: self.room, lambda: self.capacity, *[nothing] * 5)
        self.deliveries = InRuns(self.consumer, receiver)
        if settled:
            # The first message has come.
            self.fit(capacity)

    def fit(self, capacity: int) -> list[tuple[Any, ...]]:
        """Have room for another number, and return the frames of that."""
        self.capacity = capacity
        self.deliveries.fit()
        return self.consumer.turn()


def deliveries(*tags: int, counts: Sequence[int | None] = ()) -> list[Any]:
    """Return some deliveries, as often returned as is said."""
    headers: list[dict[str, Any]] = [
        {} if count is None else {"x-delivery-count": count} for count in counts
    ]
    found: Any = zip_longest(tags, headers, fillvalue={})
    message = SimpleNamespace(delivery_info={}, headers={})
    return [
        SimpleNamespace(tag=tag, headers=lambda said=said: said, to_message=lambda _: message)
        for tag, said in found
    ]


REPLACED = [("cancel",), ("qos", 50, False), ("consume",)]


@pytest.mark.parametrize("capacity", [0, 1, 1_000])
def test_it_begins_with_one(capacity: int) -> None:
    """Which may be what the worker before died of; none would mean no limit."""
    assert Bench(capacity, settled=False).consumer.initial_prefetch_count == 1


def test_what_came_back_often_is_fetched_alone() -> None:
    """For as long as it is held, so that RabbitMQ counts a death against nothing else."""
    for answer in ("acknowledge", "give_back"):
        bench = Bench(100)
        (fresh, returned, suspect) = deliveries(1, 2, 3, counts=(None, 2, 3))
        for each in (fresh, returned):
            bench.deliveries.account(each)
        assert bench.fit(100) == []
        bench.deliveries.account(suspect)
        alone = [("cancel",), ("qos", 1, False), ("consume",)]
        assert bench.fit(100) == alone
        assert bench.fit(100) == []
        getattr(bench.deliveries, answer)([suspect])
        bench.consumer.turn()
        assert bench.fit(100) == [("cancel",), ("qos", 100, False), ("consume",)]


def test_what_there_is_no_room_for_goes_back_once() -> None:
    """And comes again when there is room: RabbitMQ counts how often it has to go back."""
    bench = Bench(50)
    held, excess = deliveries(1, 2)
    for each in (held, excess):
        bench.deliveries.account(each)
    bench.room = 0
    bench.deliveries.give_back([excess], no_room=True)
    assert bench.consumer.turn() == [("cancel",), ("reject", 2, True)]
    assert bench.fit(50) == []
    bench.room = 50
    bench.deliveries.acknowledge([held])
    assert bench.consumer.turn() == [("ack", 1, False), *REPLACED]
    assert bench.fit(50) == []


@pytest.mark.parametrize(("headers", "kept"), [({}, b"as sent"), ({"compression": "bzip2"}, b"")])
def test_a_body_is_kept_to_be_sent_again_but_no_expanded_one(
    headers: dict[str, str], kept: bytes
) -> None:
    """Which may be a thousand times as large as it was at the broker."""
    message: Any = SimpleNamespace(body=b"as sent", headers=headers, errors=None)
    assert Bench(50).deliveries.trim(Received(message)) == len(kept)
    assert message.body == kept


def test_a_batch_is_acknowledged_in_a_run() -> None:
    """What was answered otherwise does not interrupt it."""
    bench = Bench(100)
    for each in deliveries(1, 2, 3, 4, 5, 6):
        bench.deliveries.account(each)
    bench.deliveries.acknowledge(deliveries(1, 2, 3))
    bench.deliveries.give_back(deliveries(4))
    bench.deliveries.acknowledge(deliveries(5, 6))
    assert bench.consumer.turn() == [("ack", 3, True), ("reject", 4, True), ("ack", 6, True)]
    assert bench.deliveries.counts_returns
    assert not bench.deliveries.more_waiting


@pytest.mark.parametrize("capacity", [51, 100, 199])
def test_a_little_more_or_less_room_changes_nothing(capacity: int) -> None:
    """For another consumer costs more than that."""
    assert Bench(100).fit(capacity) == []


@pytest.mark.parametrize(("capacity", "prefetch"), [(0, 1), (50, 50), (200, 200)])
def test_much_more_or_less_room_replaces_the_consumer(capacity: int, prefetch: int) -> None:
    """Which has its prefetch count for life; then that is what others are compared with."""
    bench = Bench(100)
    expected = [("cancel",), ("qos", prefetch, False), ("consume",)]
    assert bench.fit(capacity) == expected
    assert bench.fit(capacity) == []


def test_a_consumer_is_replaced_once_a_turn() -> None:
    """However many messages say that there is other room."""
    bench = Bench(100)
    bench.capacity = 50
    for _ in range(3):
        bench.deliveries.fit()
    assert bench.consumer.turn() == REPLACED


def test_what_waits_for_its_time_is_made_up_for() -> None:
    """When it is half of what is prefetched; from then on others are counted."""
    bench = Bench(4)
    (one, two, three) = deliveries(1, 2, 3)
    bench.deliveries.park(one)
    assert bench.consumer.turn() == []
    bench.deliveries.park(two)
    assert bench.consumer.turn() == [("cancel",), ("qos", 4, False), ("consume",)]
    bench.deliveries.unpark(one)
    bench.deliveries.park(three)
    assert bench.consumer.turn() == []


def test_only_so_many_that_wait_are_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What RabbitMQ cannot hold meanwhile is held here, and may not be all there is."""
    monkeypatch.setattr("worker.transport.rabbitmq.deliveries.MOST_PARKED", 3)
    bench = Bench(1)
    (one, two, three, four) = deliveries(1, 2, 3, 4)
    for each in (one, two):
        bench.deliveries.park(each)
        assert bench.consumer.turn() == [("cancel",), ("qos", 1, False), ("consume",)]
    bench.deliveries.park(three)
    assert bench.consumer.turn() == []
    for each in (one, two):
        bench.deliveries.unpark(each)
    bench.deliveries.park(four)
    assert bench.consumer.turn() == [("cancel",), ("qos", 1, False), ("consume",)]


def test_what_came_back_often_and_waits_for_its_time_is_no_suspect() -> None:
    """Nobody works on it."""
    bench = Bench(4)
    (suspect,) = deliveries(1, counts=(3,))
    bench.deliveries.account(suspect)
    assert bench.fit(4) == [("cancel",), ("qos", 1, False), ("consume",)]
    bench.deliveries.park(suspect)
    assert bench.consumer.turn() == [("cancel",), ("qos", 4, False), ("consume",)]


def test_what_waits_is_not_made_up_for_without_room() -> None:
    """Or more and more would be held of what nobody can settle."""
    bench = Bench(1)
    bench.capacity = 0
    for each in deliveries(1, 2, 3):
        bench.deliveries.park(each)
        assert bench.consumer.turn() == []


def test_who_consumes_nothing_is_not_replaced() -> None:
    """Somebody has cancelled it, or it is not there any more; it may be back later."""
    bench = Bench(100)
    bench.consumer.consumes_from.clear()
    assert bench.fit(50) == []
    gone, bench.consumer.task_consumer = bench.consumer.task_consumer, None
    assert bench.fit(50) == []
    bench.consumer.task_consumer = gone
    bench.consumer.consumes_from.add(QUEUE)
    assert bench.fit(50) == REPLACED
