"""Lets batches leave: once a turn of the loop, when a slot is free, or when they are of age.

When a batch is to leave is decided by `service.batching`, and how fast by
`worker.batching.pacing`, both pure; here are the loop's turns and timers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from worker.batching.pacing import Pacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from service.batching import Batch, Batcher
    from worker.held import Held
    from worker.seams.loop import Loop

# A moment that is reckoned twice is not the same to the last digit.
TOLERANCE_SECONDS = 0.001


class Dispatcher:
    """What waits for a slot, on one connection."""

    def __init__(
        self,
        batcher: Batcher[Held],
        loop: Loop,
        *,
        slot_is_free: Callable[[], bool],
        slots_awaited: Callable[[], float],
        more_waiting: Callable[[], bool],
        rate_limit: Callable[[], float],
        begin: Callable[[Batch[Held]], None],
    ) -> None:
        """Hold nothing yet.

        Args:
            batcher: Decides when a batch leaves.
            loop: The consumer's.
            slot_is_free: Returns whether another batch can begin.
            slots_awaited: Returns which part of the slots may soon be free, from 0 to 1.
            more_waiting: Returns whether more messages are known to be at the broker.
            rate_limit: Returns how many messages a second may leave, 0 if there is no limit.
            begin: Takes a batch that leaves.
        """
        self._batcher, self._loop = batcher, loop
        self.byte_count = 0
        self._slot_is_free, self._slots_awaited = slot_is_free, slots_awaited
        self._more_waiting = more_waiting
        self._rate_limit, self._begin = rate_limit, begin
        self._pacing = Pacing()
        self._timer: Any = None
        self._timer_at = 0.0
        self._dispatch_is_due = False
        self._stopping = False
        self._abandoned = False

    @property
    def update_count(self) -> int:
        """Return how many updates wait."""
        return self._batcher.update_count

    def __len__(self) -> int:
        return len(self._batcher)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._batcher)

    def hold(self, came: Sequence[Held]) -> None:
        """Hold messages until they leave in a batch.

        Args:
            came: In order.
        """
        self._batcher.add(came, time.monotonic())
        self.byte_count += sum(held.byte_count for held in came)

    def remove(self, unwanted: Callable[[Held], bool]) -> list[Held]:
        """Take out messages, and return them."""
        removed = self._batcher.remove(unwanted)
        self.byte_count -= sum(held.byte_count for held in removed)
        return removed

    def dispatch_soon(self) -> None:
        """Let leave what can, in the next turn: what came together leaves together."""
        if not self._dispatch_is_due:
            self._dispatch_is_due = True
            self._loop.call_soon(self.dispatch)

    def dispatch(self) -> None:
        """Let leave what can, now."""
        self._dispatch_is_due = False
        while not self._abandoned and self._slot_is_free():
            now = time.monotonic()
            limit = self._rate_limit()
            if limit and len(self._batcher) and (pause := self._pacing.wait_seconds(now)):
                self._dispatch_at(now + pause)
                return
            batch = self._batcher.take(
                now,
                more_waiting=self._more_waiting(),
                at_least=int(self._batcher.max_updates * self._slots_awaited()),
                stopping=self._stopping,
                max_items=self._pacing.most(limit) if limit else None,
            )
            if batch is None:
                self._wait_for_age(now)
                return
            if limit:
                self._pacing.spend(len(batch.items), limit, now)
            self.byte_count -= sum(held.byte_count for held in batch.items)
            self._begin(batch)

    def on_rate_limit(self) -> None:
        """Begin anew with another rate limit, or with none."""
        self._pacing = Pacing()
        self.dispatch()

    def stop(self) -> None:
        """Let whatever waits leave as soon as slots are free."""
        self._stopping = True

    def abandon(self) -> None:
        """Let nothing leave any more."""
        self._abandoned = True

    def _wait_for_age(self, now: float) -> None:
        due = self._batcher.due_in_seconds(now)
        if due is not None:
            self._dispatch_at(now + due)

    def _dispatch_at(self, moment: float) -> None:
        if self._timer is not None:
            if self._timer_at <= moment + TOLERANCE_SECONDS:
                return
            self._timer.cancel()
        self._timer_at = moment
        self._timer = self._loop.call_later(max(0.0, moment - time.monotonic()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.dispatch()
