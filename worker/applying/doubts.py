"""The messages in doubt: what failed while nothing else succeeded, as nobody knows why.

One update that the database refuses fails alone, and so does every update while something
is wrong with the table. So what is in doubt is held, without a slot, and tried again: at
once when events were settled in a try that began later, for then what fails still is to
blame, and will be answered; and now and then, in case whatever was wrong is over. What is
tried, and what becomes of it, is the slots'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from worker.applying.apart import part, pause_seconds, put_apart, take_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from service.batching import Batch
    from worker.held import Held
    from worker.seams.loop import Loop
    from worker.transport.broker import Deliveries

# What is in doubt is tried together, up to so many updates, however many batches it was in.
MAX_UPDATES = 1_000


@dataclass(slots=True)
class _Doubt:
    """Some messages in doubt, and the number of the last try that had begun by then."""

    batch: Batch[Held]
    since: int
    cleared: bool = False


class Doubts:
    """The messages in doubt of one connection."""

    def __init__(
        self,
        *,
        loop: Loop,
        deliveries: Deliveries,
        slot_is_free: Callable[[], bool],
        begin: Callable[[Batch[Held], bool], None],
        retry_max_wait_seconds: float,
        most: Callable[[], float],
        leave_to_broker: Callable[[Batch[Held]], None],
    ) -> None:
        """Begin with none.

        Args:
            loop: The consumer's.
            deliveries: Where messages are parked: others are to be fetched in their place.
            slot_is_free: Returns whether another batch can begin.
            begin: Gives a batch a slot; says whether others succeed.
            retry_max_wait_seconds: The longest pause between two tries.
            most: Returns how many updates may stay when nothing else has succeeded for a while.
            leave_to_broker: Lets the broker hold messages for a while.
        """
        self._most, self._leave_to_broker = most, leave_to_broker
        self._loop, self._deliveries = loop, deliveries
        self._slot_is_free, self._begin = slot_is_free, begin
        self._retry_max_wait_seconds = retry_max_wait_seconds
        self._doubts: list[_Doubt] = []
        self._timer: Any = None
        self._is_due = False
        self._pauses = 0
        self._changed = self._changed_at = 0

    def __len__(self) -> int:
        return len(self._doubts)

    def __iter__(self) -> Iterator[Held]:
        for doubt in list(self._doubts):
            yield from doubt.batch.items

    @property
    def update_count(self) -> int:
        """Return how many updates are in doubt."""
        return sum(doubt.batch.update_count for doubt in list(self._doubts))

    def add(self, batch: Batch[Held], tried: int, since: int) -> None:
        """Hold messages that failed.

        Args:
            batch: They, as they are to be tried again.
            tried: The number of the try in which they failed.
            since: The number of the last try that has begun.
        """
        put_apart(self._deliveries, batch)
        last = self._doubts[-1] if self._doubts else None
        count = batch.update_count + (last.batch.update_count if last else 0)
        if last is not None and not last.cleared and count <= MAX_UPDATES:
            items = (*last.batch.items, *batch.items)
            last.batch, last.since = replace(last.batch, items=items, update_count=count), since
        else:
            self._doubts.append(_Doubt(batch, since))
        beside = tried <= self._changed_at
        self._doubts[-1].cleared = beside and self._doubts[-1].batch.update_count < self._changed
        self._wait()

    def note_success(self, number: int, changed: int, since: int) -> None:
        """Learn that a try has settled events: what failed before it began is to go.

        So are fewer updates than that which failed beside it. As many may have failed for
        something that began in the middle.

        Args:
            number: Of the try.
            changed: How many events it has settled.
            since: The number of the last try that has begun.
        """
        self._pauses = 0
        self._changed, self._changed_at = changed, since
        for doubt in self._doubts:
            doubt.cleared |= doubt.since < number or doubt.batch.update_count < changed

    def advance(self) -> None:
        """Give a slot to what is to be tried again, if there is one free."""
        for doubt in list(self._doubts):
            if not self._slot_is_free():
                return
            if doubt.cleared or self._is_due:
                self._is_due &= doubt.cleared
                self._leave(doubt)
        self._wait()

    def stop(self) -> list[Batch[Held]]:
        """Hold nothing any more, and return what was held."""
        if self._timer is not None:
            self._timer.cancel()
        batches = [doubt.batch for doubt in self._doubts]
        self._doubts.clear()
        return batches

    def abandon(self) -> None:
        """Forget everything."""
        self._doubts.clear()

    def _leave(self, doubt: _Doubt) -> None:
        self._doubts.remove(doubt)
        take_up(self._deliveries, doubt.batch)
        self._begin(doubt.batch, doubt.cleared)

    def _wait(self) -> None:
        if self._timer is None and not self._is_due and self._doubts:
            pause = pause_seconds(self._pauses, self._retry_max_wait_seconds)
            self._pauses += 1
            self._timer = self._loop.call_later(pause, self._on_due)

    def _on_due(self) -> None:
        self._timer, self._is_due = None, True
        self._make_room()
        self.advance()

    def _make_room(self) -> None:
        """Let others come that may succeed: a queue may begin with more than there is room for.

        As many stay as leave room for them: those that come back could fill it each time.
        """
        over = self.update_count - self._most()
        if over <= 0:
            return
        for doubt in [doubt for doubt in self._doubts if not doubt.cleared]:
            leaving: list[Held] = []
            staying: list[Held] = []
            for held in doubt.batch.items:
                (leaving if over > 0 else staying).append(held)
                over -= held.update_count
            self._doubts.remove(doubt)
            if staying:
                self._doubts.append(replace(doubt, batch=part(doubt.batch, staying)))
            if leaving:
                batch = part(doubt.batch, leaving)
                take_up(self._deliveries, batch)
                self._leave_to_broker(batch)
