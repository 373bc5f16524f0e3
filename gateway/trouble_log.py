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

    def note(self, text: str, error: Exception) -> None:
        """Record what failed."""
        if self._trouble.note(text, time.monotonic()):
            reason = f"{type(error).__name__}: {error}"
            logger.warning(text, extra={"error": reason, "tries": self._trouble.tries})

    def is_over(self) -> None:
        """Record that it did not fail."""
        lasted = self._trouble.over(time.monotonic())
        if lasted is not None:
            logger.info(self._when_over, extra={"seconds": round(lasted, 1)})
