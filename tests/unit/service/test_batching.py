"""When a batch leaves, with the clock in hand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.batching import Batcher, Why


@dataclass(frozen=True)
class Item:
    """A message of so many updates."""

    update_count: int
    name: str = ""


@pytest.fixture
def batcher() -> Batcher[Item]:
    """Give one that takes ten updates and waits half a second."""
    return Batcher(max_updates=10, max_wait_seconds=0.5)


def test_nothing_leaves_when_nothing_is_held(batcher: Batcher[Item]) -> None:
    """An empty batcher has no batch, not even when stopping."""
    assert batcher.take(0.0) is None
    assert batcher.take(0.0, stopping=True) is None
    assert batcher.due_in_seconds(0.0) is None


def test_a_lonely_update_leaves_at_once(batcher: Batcher[Item]) -> None:
    """With a slot free and nothing more waiting there is nothing to wait for."""
    batcher.add([Item(1)], 7.0)
    batch = batcher.take(7.0)
    assert batch is not None
    assert (batch.why, batch.update_count, batch.waited_seconds) == (Why.SLOT, 1, 0.0)


def test_a_batch_waits_while_more_is_coming(batcher: Batcher[Item]) -> None:
    """With more at the broker, a batch that is not full stays until its oldest update is due."""
    batcher.add([Item(1)], 1.0)
    batcher.add([Item(1)], 1.4)
    assert batcher.take(1.4, more_waiting=True) is None
    assert batcher.due_in_seconds(1.4) == pytest.approx(0.1)
    batch = batcher.take(1.5, more_waiting=True)
    assert batch is not None
    assert batch.why is Why.AGE
    assert batch.update_count == 2


def test_a_batch_that_is_not_full_enough_waits_beside_others(batcher: Batcher[Item]) -> None:
    """Until it is, or its oldest update is due; a stop lets it leave at once."""
    batcher.add([Item(3)], 1.0)
    assert batcher.take(1.0, at_least=4) is None
    assert batcher.due_in_seconds(1.0) == pytest.approx(0.5)
    batcher.add([Item(1)], 1.2)
    batch = batcher.take(1.2, at_least=4)
    assert batch is not None
    assert (batch.why, batch.update_count) == (Why.SLOT, 4)
    for now, stopping, why in ((2.5, False, Why.AGE), (2.0, True, Why.STOP)):
        batcher.add([Item(1)], 2.0)
        batch = batcher.take(now, at_least=4, stopping=stopping)
        assert batch is not None
        assert batch.why is why


def test_the_window_starts_with_the_batch_itself(batcher: Batcher[Item]) -> None:
    """Age is that of the oldest update held, however long the batcher was idle before."""
    batcher.add([Item(1)], 0.0)
    assert batcher.take(0.0)
    batcher.add([Item(1)], 100.0)
    assert batcher.take(100.0, more_waiting=True) is None
    assert batcher.due_in_seconds(100.0) == pytest.approx(0.5)


def test_a_full_batch_leaves_whatever_is_waiting(batcher: Batcher[Item]) -> None:
    """Size counts updates, not messages."""
    batcher.add([Item(6)], 0.0)
    assert batcher.take(0.0, more_waiting=True) is None
    batcher.add([Item(4)], 0.0)
    batch = batcher.take(0.0, more_waiting=True)
    assert batch is not None
    assert batch.why is Why.SIZE
    assert batch.update_count == 10


def test_a_message_is_never_split(batcher: Batcher[Item]) -> None:
    """What does not fit begins the next batch."""
    batcher.add([Item(6, "a")], 0.0)
    batcher.add([Item(6, "b")], 0.0)
    first, second = batcher.take(0.0), batcher.take(0.0)
    assert first is not None
    assert second is not None
    assert [item.name for item in first.items] == ["a"]
    assert [item.name for item in second.items] == ["b"]


def test_a_message_larger_than_a_batch_travels_alone(batcher: Batcher[Item]) -> None:
    """It overfills the batch rather than never leaving."""
    batcher.add([Item(25)], 0.0)
    batcher.add([Item(1)], 0.0)
    batch = batcher.take(0.0)
    assert batch is not None
    assert batch.update_count == 25
    assert len(batcher) == 1


def test_everything_leaves_when_stopping(batcher: Batcher[Item]) -> None:
    """A stop does not wait for a batch to fill or to be due."""
    batcher.add([Item(3)], 0.0)
    batch = batcher.take(0.0, more_waiting=True, stopping=True)
    assert batch is not None
    assert batch.why is Why.STOP


def test_what_is_taken_out_does_not_leave(batcher: Batcher[Item]) -> None:
    """It takes no room any longer, and the others keep their order."""
    batcher.add([Item(6, "a"), Item(2, "unwanted"), Item(1, "b"), Item(3, "unwanted")], 0.0)
    removed = batcher.remove(lambda item: item.name == "unwanted")
    assert [item.update_count for item in removed] == [2, 3]
    assert batcher.update_count == 7
    batch = batcher.take(0.0)
    assert batch is not None
    assert [item.name for item in batch.items] == ["a", "b"]


@given(
    sizes=st.lists(st.integers(1, 15), max_size=60),
    waiting=st.lists(st.booleans(), min_size=1, max_size=10),
)
def test_every_item_leaves_once_and_in_order(sizes: list[int], waiting: list[bool]) -> None:
    """Whatever the sizes and the moments, batches put together are what was added."""
    batcher: Batcher[Item] = Batcher(max_updates=10, max_wait_seconds=0.5)
    left: list[str] = []
    for number, size in enumerate(sizes):
        batcher.add([Item(size, str(number))], float(number))
        more = waiting[number % len(waiting)]
        while batch := batcher.take(float(number), more_waiting=more):
            assert batch.update_count == sum(item.update_count for item in batch.items)
            assert batch.update_count <= 10 or len(batch.items) == 1
            left += [item.name for item in batch.items]
    while batch := batcher.take(1e9, stopping=True):
        left += [item.name for item in batch.items]
    assert left == [str(number) for number in range(len(sizes))]
    assert batcher.update_count == 0
