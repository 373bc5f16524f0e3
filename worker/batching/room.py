"""How many more messages may be fetched, so that a bounded amount of them is held; pure.

What is still at the broker may carry one update or a thousand, in a few bytes or in
millions; it is taken to be like what came lately, and at first to carry as much as it may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

# Of the estimate, how much one more message counts.
WEIGHT = 0.1
# Times the room: more than an estimate is wrong by.
OVERFULL = 2
# With what it takes to read the next message, well below the bound in docs/guarantees.md.
MAX_BYTES = 32 * 2**20


class Amount(NamedTuple):
    """How much some messages are."""

    updates: int
    bytes: int


NOTHING = Amount(0, 0)


class Room:
    """The room of one connection."""

    def __init__(self, *, max_updates: int, largest_message: int) -> None:
        """Begin as if every message were of the largest.

        Args:
            max_updates: How many are held at most.
            largest_message: How many one message may carry.
        """
        self.max_updates = max_updates
        self._mean_updates, self._mean_bytes = float(largest_message), 0.0

    def learn(self, updates: Iterable[int], byte_counts: Iterable[int]) -> None:
        """Take messages that came into the estimate.

        Args:
            updates: How many each carries.
            byte_counts: How much memory each takes.
        """
        mean_updates, mean_bytes = self._mean_updates, self._mean_bytes
        for many, size in zip(updates, byte_counts, strict=True):
            mean_updates += (many - mean_updates) * WEIGHT
            mean_bytes += (size - mean_bytes) * WEIGHT
        self._mean_updates, self._mean_bytes = mean_updates, mean_bytes

    def messages(self, held: Amount) -> int:
        """Return how many messages there is room for, at least one while nothing is held."""
        free_updates = max(self.max_updates - held.updates, 0)
        free_bytes = max(MAX_BYTES - held.bytes, 0)
        fit = min(
            int(free_updates / max(self._mean_updates, 1.0)),
            int(free_bytes / max(self._mean_bytes, 1.0)),
        )
        return max(fit, 1 if held.updates == 0 else 0)

    def is_overfull(self, held: Amount) -> bool:
        """Return whether far more is held than there is room for.

        So it is when messages become larger: some were on their way already.
        """
        return held.updates > OVERFULL * self.max_updates or held.bytes > OVERFULL * MAX_BYTES
