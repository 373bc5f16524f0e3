"""How many messages may leave now under a rate limit; pure.

Celery lets one message through at a time, as often as the limit says. Here as many
leave together as the limit allows in a second, so that a limit does not undo
batching; then nothing leaves until they have been paid for.
"""

from __future__ import annotations


class Pacing:
    """Spends what a rate limit allows."""

    def __init__(self) -> None:
        self._next_at = 0.0

    def wait_seconds(self, now: float) -> float:
        """Return how long until anything may leave.

        Args:
            now: In seconds, of any monotonic clock.
        """
        return max(0.0, self._next_at - now)

    def most(self, per_second: float) -> int:
        """Return how many messages may leave together."""
        return max(1, int(per_second))

    def spend(self, messages: int, per_second: float, now: float) -> None:
        """Account for messages that left."""
        self._next_at = max(self._next_at, now) + messages / per_second
