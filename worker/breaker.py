"""When too many messages are rubbish for them to be the messages' own fault.

A producer that went wrong, or a worker of the wrong version, would have a whole
queue put among the dead letters. Pure: knows the latest messages, and nothing of
what is done about them.
"""

from __future__ import annotations

from collections import deque

LATEST = 1_000
FEWEST = 100


class Breaker:
    """Looks at the share of the latest messages that are not valid."""

    def __init__(self, max_share: float) -> None:
        """Allow for a share, from 0 to 1; at 1 nothing is ever too much."""
        self.max_share = max_share
        self._invalid: deque[float] = deque(maxlen=LATEST)

    def note(self, invalid_share: float) -> bool:
        """Take note of a message, and return whether it has become too much.

        Args:
            invalid_share: Which part of the message's updates is not valid.
        """
        self._invalid.append(invalid_share)
        # A valid message makes the share no larger: nothing is to be added up for it.
        judged = invalid_share > 0 or len(self._invalid) == FEWEST
        return judged and len(self._invalid) >= FEWEST and self.share > self.max_share

    @property
    def share(self) -> float:
        """Return the share among the latest messages."""
        return sum(self._invalid) / len(self._invalid) if self._invalid else 0.0

    def reset(self) -> None:
        """Forget the messages that came."""
        self._invalid.clear()
