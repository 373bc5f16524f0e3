"""When a batch leaves.

Pure: no Celery, no threads, no clock of its own; the time is passed in. Items
are held in the order they came and leave in that order. A batch leaves

- because of its size, when the maximum number of updates is held;
- because a slot is free and nothing more is waiting to be fetched: alone, an
  update leaves at once, and under load batches fill while others are applied. The
  more slots are taken, the fuller it must be: small ones beside each other cost what
  one costs, each, and come no sooner where processors are busy;
- because of its age, when its oldest update has waited the maximum;
- because the worker stops.

Nothing leaves while no slot is free: then the broker keeps the rest.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Countable(Protocol):
    """Something that carries a number of updates."""

    @property
    def update_count(self) -> int:
        """Return how many."""
        ...


Item = TypeVar("Item", bound=Countable)


class Why(StrEnum):
    """Why a batch left."""

    SIZE = "size"
    SLOT = "slot"
    AGE = "age"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Batch(Generic[Item]):
    """What is applied together."""

    number: int
    items: tuple[Item, ...]
    update_count: int
    why: Why
    waited_seconds: float


class Batcher(Generic[Item]):
    """Holds items until it is time for them to leave as a batch."""

    def __init__(self, *, max_updates: int, max_wait_seconds: float) -> None:
        self.max_updates = max_updates
        self.max_wait_seconds = max_wait_seconds
        self.update_count = 0
        self._held: deque[tuple[Item, float]] = deque()
        self._batches = 0

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Item]:
        return (item for item, _ in self._held)

    def add(self, items: Iterable[Item], now: float) -> None:
        """Hold some items, behind those that are held already."""
        for item in items:
            self._held.append((item, now))
            self.update_count += item.update_count

    def remove(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Take out the items that are not to leave, and return them in order."""
        removed = [item for item, _ in self._held if unwanted(item)]
        self._held = deque((item, since) for item, since in self._held if not unwanted(item))
        self.update_count -= sum(item.update_count for item in removed)
        return removed

    def take(
        self,
        now: float,
        *,
        more_waiting: bool = False,
        at_least: int = 1,
        stopping: bool = False,
        max_items: int | None = None,
    ) -> Batch[Item] | None:
        """Take the next batch, given that a slot is free, or nothing if it is to wait.

        Args:
            now: In seconds, of any monotonic clock.
            more_waiting: Whether more messages are known to be at the broker.
            at_least: How many updates leave before their time, if no more are waiting.
            stopping: Whether whatever is held must leave.
            max_items: How many items may leave together, if there is a limit.
        """
        if not self._held:
            return None
        waited = now - self._held[0][1]
        if self.update_count >= self.max_updates:
            why = Why.SIZE
        elif stopping:
            why = Why.STOP
        elif not more_waiting and self.update_count >= at_least:
            why = Why.SLOT
        elif waited >= self.max_wait_seconds:
            why = Why.AGE
        else:
            return None
        return self._pop(why, waited, max_items or len(self._held))

    def due_in_seconds(self, now: float) -> float | None:
        """Return how long until the oldest item has waited the maximum, None if nothing is held."""
        if not self._held:
            return None
        return max(0.0, self._held[0][1] + self.max_wait_seconds - now)

    def _pop(self, why: Why, waited: float, max_items: int) -> Batch[Item]:
        items: list[Item] = []
        updates = 0
        # A message is never split: it may overfill a batch only by being alone in it.
        while self._held and len(items) < max_items:
            size = self._held[0][0].update_count
            if items and updates + size > self.max_updates:
                break
            items.append(self._held.popleft()[0])
            updates += size
        self.update_count -= updates
        self._batches += 1
        return Batch(self._batches, tuple(items), updates, why, waited)
