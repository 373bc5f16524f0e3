"""By how many seconds a replica is behind its primary at most; pure: the time is passed in.

Neither server's clock is believed, and a primary that writes nothing makes no replica old. What
the primary had written is noted now and then; a replica that has replayed that much
shows all that was committed until then.
"""

from __future__ import annotations

import math
from collections import deque


class Lag:
    """What the primary had written, and when it was asked for that."""

    def __init__(self, most_seconds: float) -> None:
        """Begin with nothing known.

        Args:
            most_seconds: What is older is of no interest.
        """
        self._most_seconds = most_seconds
        self._notes: deque[tuple[float, int]] = deque()

    def note(self, replayed: int, written: int, asked: float) -> bool:
        """Note how far the primary is; return whether the replica can be one of it.

        A replica that has what its primary has not follows another: as one does that
        was ahead of the standby which was promoted. What was noted before says nothing about it.

        Args:
            replayed: How far the replica was, asked before the primary was.
            written: How far the primary is.
            asked: When that was asked for, in seconds of any monotonic clock.
        """
        if replayed > written:
            self._notes.clear()
            return False
        while self._notes and asked - self._notes[0][0] > self._most_seconds:
            self._notes.popleft()
        self._notes.append((asked, written))
        return True

    def seconds(self, replayed: int, now: float) -> float:
        """Return how old that may be, at most, which a replica shows.

        Args:
            replayed: How far it is.
            now: By the clock of the notes.

        Returns:
            Infinity where nobody knows.
        """
        known = (now - asked for asked, written in reversed(self._notes) if written <= replayed)
        return next(known, math.inf)
