"""When batches leave, by the turns and timers of a loop that is turned by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from service.batching import Batch, Batcher, Why
from worker.batching.dispatcher import Dispatcher


class Item:
    """A message of one update."""

    update_count, byte_count = 1, 100


class Loop:
    """A loop that is turned by hand."""

    def __init__(self) -> None:
        self.soon: list[Any] = []
        self.later: list[Any] = []

    def call_soon(self, function: Any, *args: Any) -> None:
        """Remember it for the next turn."""
        self.soon.append(function)

    def call_later(self, seconds: float, function: Any, *args: Any) -> Any:
        """Remember it as a timer."""
        timer = (seconds, function)
        self.later.append(timer)
        return SimpleNamespace(cancel=lambda: self.later.remove(timer))

    def turn(self) -> None:
        """Do what is due."""
        due, self.soon = self.soon, []
        for function in due:
            function()

    def fire(self) -> None:
        """Let the next timer fire."""
        self.later.pop(0)[1]()


class Bench:
    """A dispatcher, and what it asks."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.slots, self.more, self.limit = 9, False, 0.0
        self.left: list[Batch[Any]] = []
        batcher: Batcher[Any] = Batcher(max_updates=10, max_wait_seconds=60)
        loop: Any = self.loop
        self.dispatcher = Dispatcher(
            batcher,
            loop,
            slot_is_free=lambda: len(self.left) < self.slots,
            slots_awaited=lambda: len(self.left) / self.slots,
            more_waiting=lambda: self.more,
            rate_limit=lambda: self.limit,
            begin=self.left.append,
        )

    def hold(self, count: int = 1) -> None:
        """Let some messages come."""
        items: list[Any] = [Item()] * count
        self.dispatcher.hold(items)

    @property
    def sizes(self) -> list[int]:
        """Return how many messages left together."""
        return [len(batch.items) for batch in self.left]


@pytest.fixture
def bench() -> Bench:
    """Give one with slots for all."""
    return Bench()


def test_a_turn_dispatches_once(bench: Bench) -> None:
    """However often somebody asks for it; and the next turn does again."""
    for _ in range(2):
        for _ in range(3):
            bench.hold()
            bench.dispatcher.dispatch_soon()
        assert len(bench.loop.soon) == 1
        bench.loop.turn()
    assert bench.sizes == [3, 3]


def test_what_waits_is_known(bench: Bench) -> None:
    """Its messages, updates and bytes, until they leave or are taken out."""
    waiting = bench.dispatcher
    bench.slots = 0
    for leave in (lambda: waiting.remove(lambda _: True), waiting.dispatch):
        bench.hold(3)
        assert (len(waiting), waiting.update_count, waiting.byte_count) == (3, 3, 300)
        assert len(list(waiting)) == 3
        bench.slots = 9
        leave()
        bench.slots = 0
        assert (len(waiting), waiting.update_count, waiting.byte_count) == (0, 0, 0)


def test_one_timer_is_set_for_what_waits(bench: Bench) -> None:
    """Another one only when that has fired."""
    bench.more = True
    for _ in range(3):
        bench.hold()
        bench.dispatcher.dispatch()
    assert len(bench.loop.later) == 1
    bench.loop.fire()
    assert len(bench.loop.later) == 1
    assert not bench.left


def test_the_more_slots_are_awaited_the_fuller_a_batch_is(bench: Bench) -> None:
    """Alone an update leaves at once; the next ones wait for company, or until a slot is free."""
    bench.slots = 3
    for waiting, left in ((1, [1]), (3, [1, 3]), (5, [1, 3]), (1, [1, 3, 6])):
        bench.hold(waiting)
        bench.dispatcher.dispatch()
        assert bench.sizes == left
    bench.hold()
    bench.dispatcher.dispatch()
    assert len(bench.sizes) == 3
    bench.left.clear()
    bench.dispatcher.dispatch()
    assert bench.sizes == [1]


def test_a_stop_lets_leave_what_waits_for_more(bench: Bench) -> None:
    """For that no more is fetched."""
    bench.more = True
    bench.hold()
    bench.dispatcher.dispatch()
    assert not bench.left
    bench.dispatcher.stop()
    bench.dispatcher.dispatch()
    assert [batch.why for batch in bench.left] == [Why.STOP]


def test_nothing_leaves_that_was_abandoned(bench: Bench) -> None:
    """Its connection is lost; neither a turn that was due nor a timer changes that."""
    bench.hold()
    bench.dispatcher.dispatch_soon()
    bench.dispatcher.abandon()
    bench.loop.turn()
    assert not bench.left


def test_another_rate_limit_begins_anew(bench: Bench) -> None:
    """What the old one would have had wait leaves at once, as many as the new one allows."""
    bench.limit = 1.0
    bench.hold(9)
    bench.dispatcher.dispatch()
    assert bench.sizes == [1]
    bench.limit = 3.0
    bench.dispatcher.on_rate_limit()
    assert bench.sizes == [1, 3]


@pytest.mark.parametrize("new_limit", [0.0, 1.0])
def test_the_timer_of_a_rate_limit_does_not_outlast_it(bench: Bench, new_limit: float) -> None:
    """Beside a batch that hangs nothing else would look whether a message is of age."""
    bench.limit = 1 / 600
    bench.hold(2)
    bench.dispatcher.dispatch()
    assert [round(seconds) for seconds, _ in bench.loop.later] == [600]
    bench.limit, bench.more = new_limit, True
    bench.dispatcher.on_rate_limit()
    assert [round(seconds) for seconds, _ in bench.loop.later] == [60]


def test_a_rate_limit_is_not_kept_waiting_by_what_is_not_of_age(bench: Bench) -> None:
    """What leaves when it has been paid for leaves then, though a timer is set for later."""
    bench.limit, bench.more = 10.0, True
    bench.hold()
    bench.dispatcher.dispatch()
    assert [round(seconds) for seconds, _ in bench.loop.later] == [60]
    bench.hold(19)
    bench.dispatcher.dispatch()
    assert bench.sizes == [10]
    assert [round(seconds) for seconds, _ in bench.loop.later] == [1]
