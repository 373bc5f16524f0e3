"""When too many messages are rubbish for them to be the messages' own fault.

A producer that went wrong, or a worker of the wrong version, would have a whole
queue put among the dead letters. Pure: knows the latest messages, and nothing of
what is done about them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from settle_client.names import QUEUE

if TYPE_CHECKING:
    from collections.abc import Sequence

LATEST = 1_000
FEWEST = 100
# Set aside when it trips, of what is not valid: something to look at.
SAMPLE = 10

WAY_OUT = (
    f"look at the sample (settle dead list) and mend what sends them; then `celery -A worker "
    f"control add_consumer {QUEUE}` lets the next {LATEST:,} messages through, and a restart with "
    "SETTLE_DEAD_LETTER_MAX_SHARE=1 all of them: what is not valid becomes dead letters"
)


class Breaker:
    """Looks at the share of the latest messages that are not valid."""

    def __init__(self, max_share: float) -> None:
        """Allow for a share, from 0 to 1; at 1 nothing is ever too much."""
        self.max_share = max_share
        self.is_tripped = False
        self._invalid: deque[float] = deque(maxlen=LATEST)
        self._let_through = 0

    def note(self, invalid_shares: Sequence[float]) -> bool:
        """Count messages in, and return whether it has become too much.

        Args:
            invalid_shares: Which part of each message's updates is not valid.
        """
        if self.is_tripped:
            # They were on their way.
            return any(invalid_shares)
        if self._let_through > 0:
            self._let_through -= len(invalid_shares)
            return False
        before = len(self._invalid)
        self._invalid.extend(invalid_shares)
        # Valid messages make the share no larger: nothing is to be added up for them.
        judged = before < FEWEST or any(invalid_shares)
        return judged and len(self._invalid) >= FEWEST and self.share > self.max_share

    @property
    def share(self) -> float:
        """Return the share among the latest messages."""
        return sum(self._invalid) / len(self._invalid) if self._invalid else 0.0

    def trip(self) -> None:
        """Forget the messages that came, and find whatever is not valid too much."""
        self.is_tripped = True
        self._invalid.clear()

    def resume(self) -> None:
        """Begin anew, as somebody has seen to it: judge nothing that comes next.

        What lies first in the queue is what it tripped at, and would trip it again.
        """
        self.is_tripped, self._let_through = False, LATEST
