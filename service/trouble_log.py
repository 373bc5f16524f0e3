"""Trouble with a server, in as few lines of the log as it needs."""

from __future__ import annotations

import logging
import time

from service.trouble import Trouble

logger = logging.getLogger(__name__)


class TroubleLog:
    """Trouble that lasts: a line when it begins, one now and then, and one when it is over."""

    def __init__(self, when_over: str) -> None:
        self._when_over = when_over
        self._trouble = Trouble()

    def note(self, text: str, error: str, fix: str = "") -> None:
        """Record what failed, why, and what to do about it; another fix is news."""
        if self._trouble.note(f"{text}: {fix}", time.monotonic()):
            fields = {"error": error, "tries": self._trouble.tries}
            logger.warning(text, extra=fields | ({"fix": fix} if fix else {}))

    def is_over(self) -> None:
        """Record that it did not fail."""
        lasted = self._trouble.over(time.monotonic())
        if lasted is not None:
            fields = {"seconds": round(lasted, 1)}
            logger.log(self._trouble.level, self._when_over, extra=fields)
