"""Whether something is in trouble, and when to say so.

A server that is away fails every try of whatever needs it; the log is to have one line
when it begins, one now and then while it lasts, and one when it is over, at the same level:
whoever reads that it began is to read that it is over. Pure: the time is passed in, and the
lines are written elsewhere.
"""

from __future__ import annotations

import logging

SAY_AGAIN_AFTER_SECONDS = 60.0


class Trouble:
    """What is wrong at present, if anything is."""

    def __init__(self) -> None:
        self.kind = ""
        self.tries = 0
        self.level = logging.WARNING
        self._since = 0.0
        self._said_at = 0.0

    def note(self, kind: str, now: float, level: int = logging.WARNING) -> bool:
        """Count a try that failed, and return whether it is worth a line.

        Args:
            kind: What failed; another kind is news.
            now: In seconds, of any monotonic clock.
            level: Of that line, and so of the one which says that it is over.
        """
        is_news = kind != self.kind
        if not self.kind:
            self._since, self.tries, self.level = now, 0, level
        self.level = max(self.level, level)
        self.kind = kind
        self.tries += 1
        if is_news or now - self._said_at >= SAY_AGAIN_AFTER_SECONDS:
            self._said_at = now
            return True
        return False

    def over(self, now: float) -> float | None:
        """Record a try that did not fail; return how long the trouble lasted, if any."""
        if not self.kind:
            return None
        self.kind = ""
        return now - self._since
