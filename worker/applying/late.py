"""The batches that took too long, as where somebody has locked one of their rows.

Such a batch is tried again by halves, from try to try, so that only those of its messages
wait that must. Nobody is to blame for it, and it may take as long again: so it is held
without a slot, and however many there are, they have one slot at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.applying.apart import part, part_off, pause_seconds, put_apart, take_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from service.batching import Batch
    from worker.held import Held
    from worker.seams.loop import Loop
    from worker.transport.broker import Deliveries


class Late:
    """The late batches of one connection."""

    def __init__(
        self,
        *,
        loop: Loop,
        deliveries: Deliveries,
        slot_is_free: Callable[[], bool],
        begin: Callable[[Batch[Held]], None],
        retry_max_wait_seconds: float,
    ) -> None:
        """Begin with none; see `worker.applying.doubts.Doubts`."""
        self._loop, self._deliveries = loop, deliveries
        self._slot_is_free, self._begin = slot_is_free, begin
        self._retry_max_wait_seconds = retry_max_wait_seconds
        self._batches: list[Batch[Held]] = []
        self._in_slot: int | None = None
        self._timer: Any = None
        self._is_due = False
        self._pauses = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Held]:
        for batch in list(self._batches):
            yield from batch.items

    @property
    def update_count(self) -> int:
        """Return how many updates wait here."""
        return sum(batch.update_count for batch in list(self._batches))

    def add(self, batch: Batch[Held]) -> None:
        """Hold a batch that took too long, by halves if it can be halved."""
        put_apart(self._deliveries, batch)
        middle = len(batch.items) // 2
        if not middle:
            self._pauses += 1
            self._batches.append(batch)
        else:
            self._pauses = 0
            first = part_off(batch, batch.items[:middle])
            self._batches += [first, part(batch, batch.items[middle:])]
        self._wait()

    def note_end(self, number: int) -> None:
        """Learn that a batch has left its slot, by the batch's number."""
        if number == self._in_slot:
            self._in_slot = None
            self._wait()

    def advance(self) -> None:
        """Give a slot to the next batch, if it is time and there is one free."""
        if self._is_due and self._batches and self._slot_is_free():
            self._is_due = False
            batch = self._batches.pop(0)
            self._in_slot = batch.number
            take_up(self._deliveries, batch)
            self._begin(batch)

    def stop(self) -> list[Batch[Held]]:
        """Hold nothing any more, and return what was held."""
        if self._timer is not None:
            self._timer.cancel()
        batches, self._batches = self._batches, []
        return batches

    def abandon(self) -> None:
        """Forget everything."""
        self._batches.clear()

    def _wait(self) -> None:
        is_set = self._timer is not None or self._is_due
        if self._batches and self._in_slot is None and not is_set:
            pause = pause_seconds(self._pauses, self._retry_max_wait_seconds)
            self._timer = self._loop.call_later(pause, self._on_due)

    def _on_due(self) -> None:
        self._timer, self._is_due = None, True
        self.advance()
