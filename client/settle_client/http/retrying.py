"""Requests that are made again where no answer came, or one that says to come later; pure.

All requests of this package may be repeated: they read, or are messages under an id that is
drawn once, or create what is created once. So only how long is a question: with pauses
that grow and are never the same for many clients, and none shorter than `Retry-After`.
"""

from __future__ import annotations

import random
import re
import time
from typing import TYPE_CHECKING, Any, TypeVar

from settle_client.errors import NotAnsweredError
from settle_client.http.exchange import Ask
from settle_client.http.problems import LATER, error_of
from settle_client.steps import Pause

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from settle_client.http.exchange import Answer, Request

    Clock = Callable[[], float]

Result = TypeVar("Result")

if TYPE_CHECKING:
    Steps = Generator[Any, Any, Result]

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
# A connection that hangs is given up while there is time for another.
TRIES_AT_LEAST = 3
SHORTEST_SILENT_SECONDS = 1.0


class Backoff:
    """How long to pause: longer each time, and by chance."""

    def __init__(self, chance: Clock = random.random) -> None:
        self._chance = chance
        self._failures = 0

    def pause(self, least_seconds: float = 0.0) -> float:
        """Return for how many seconds to pause now.

        Args:
            least_seconds: As the gateway wishes.
        """
        grown: float = min(
            FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 16), LONGEST_PAUSE_SECONDS
        )
        self._failures += 1
        return least_seconds + grown * (1 + self._chance()) / 2

    def reset(self) -> None:
        """Begin with short ones again."""
        self._failures = 0


def insist(request: Request, timeout_seconds: float, now: Clock = time.monotonic) -> Steps[Answer]:
    """Make a request until it has an answer that is not to come later.

    Args:
        request: May be made again.
        timeout_seconds: For all tries together.
        now: The time.

    Raises:
        NotAnsweredError: There was none in time; its cause is what there was last.
    """
    deadline, backoff = now() + timeout_seconds, Backoff()
    silent = max(timeout_seconds / TRIES_AT_LEAST, SHORTEST_SILENT_SECONDS) + request.wait_seconds
    while True:
        left = max(deadline - now(), 0.001)
        trouble: Exception
        try:
            answer: Answer = yield Ask(request, min(silent, left), left)
        except OSError as error:
            trouble, least = error, 0.0
        else:
            if answer.status not in LATER:
                return answer
            trouble, least = error_of(answer), retry_after(answer)
        pause = backoff.pause(least)
        if now() + pause >= deadline:
            raise not_answered(timeout_seconds, trouble)
        yield Pause(pause)


def not_answered(seconds: float, trouble: Exception) -> NotAnsweredError:
    """Say that there was no answer in time, and what there was in place of it."""
    problem = getattr(trouble, "problem", None)
    error = NotAnsweredError(f"no answer within {seconds:g} s: {trouble}", problem)
    error.__cause__ = trouble
    return error


def retry_after(answer: Answer) -> float:
    """Return for how many seconds an answer asks to wait: a number, or until a time (RFC 9110)."""
    text = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    # A proxy's: a gateway says a number. Whoever meets none need not wait for it.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
