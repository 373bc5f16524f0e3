"""When too many messages are rubbish for them to be the messages' own fault.

A producer that went wrong, or a worker of the wrong version, would have a whole
queue put among the dead letters. Pure: knows the latest messages, and nothing of
what is done about them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LATEST = 1_000
FEWEST = 100


class Breaker:
    """Looks at the share of the latest messages that are not valid."""

    def __init__(self, max_share: float) -> None:
        """Allow for a share, from 0 to 1; at 1 nothing is ever too much."""
        self.max_share = max_share
        self._invalid: deque[float] = deque(maxlen=LATEST)

    def note(self, invalid_shares: Sequence[float]) -> bool:
        """Count messages in, and return whether it has become too much.

        Args:
            invalid_shares: Which part of each message's updates is not valid.
        """
        before = len(self._invalid)
        self._invalid.extend(invalid_shares)
        # Valid messages make the share no larger: nothing is to be added up for them.
        judged = before < FEWEST or any(invalid_shares)
        return judged and len(self._invalid) >= FEWEST and self.share > self.max_share

    @property
    def share(self) -> float:
        """Return the share among the latest messages."""
        return sum(self._invalid) / len(self._invalid) if self._invalid else 0.0

    def reset(self) -> None:
        """Forget the messages that came."""
        self._invalid.clear()
