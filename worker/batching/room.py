"""How many more messages may be fetched, so that a bounded number of updates is held; pure.

What is still at the broker may carry one update or a thousand; it is taken to be
like what came lately, and at first to be as large as it may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Of the estimate, how much one more message counts.
WEIGHT = 0.1
# Times the room: more than an estimate is wrong by.
OVERFULL = 2


class Room:
    """The room of one connection."""

    def __init__(self, *, max_updates: int, largest_message: int) -> None:
        """Begin as if every message were of the largest.

        Args:
            max_updates: How many are held at most.
            largest_message: How many one message may carry.
        """
        self.max_updates = max_updates
        self._mean = float(largest_message)

    def learn(self, update_counts: Iterable[int]) -> None:
        """Take messages that came into the estimate."""
        for count in update_counts:
            self._mean += (count - self._mean) * WEIGHT

    def messages(self, held_updates: int) -> int:
        """Return how many messages there is room for, at least one while nothing is held."""
        free = self.max_updates - held_updates
        fit = int(max(free, 0) / max(self._mean, 1.0))
        return max(fit, 1 if held_updates == 0 else 0)

    def is_overfull(self, held_updates: int) -> bool:
        """Return whether far more is held than there is room for.

        So it is when messages become larger: some were on their way already.
        """
        return held_updates > OVERFULL * self.max_updates
