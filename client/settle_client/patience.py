"""Trouble that passes, waited out: with growing pauses, and a line in the log where it begins.

Does nothing itself: pauses are asked of a face. Knows redis-py's errors by their names,
so as not to import it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

from settle_client.steps import Pause

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Clock = Callable[[], float]

Result = TypeVar("Result")

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0

LASTING = {"AuthenticationError", "AuthorizationError"}
# No answer, or none of a primary.
PASSING = {"ConnectionError", "TimeoutError", "OSError", "ReadOnlyError", "MasterDownError"}
# What a server says when it cannot yet, or not any more: it loads, it follows another now,
# its disk is full, it waits for its replicas or for somebody's script.
SAID = ("LOADING", "MASTERDOWN", "READONLY", "UNBLOCKED", "MISCONF", "NOREPLICAS", "BUSY ")


def _forever() -> float:
    return math.inf


class Patience:
    """How long somebody waits for a server that is in trouble."""

    def __init__(self, *, is_endless: bool) -> None:
        """Begin.

        Args:
            is_endless: Nobody says for how long at most. Then a server that has never
                answered is not waited for: it may not be the one that is meant.
        """
        self._is_known = not is_endless
        self._failures = 0

    def outlast(
        self, make_steps: Callable[[], Generator[Any, Any, Result]], left: Clock = _forever
    ) -> Generator[Any, Any, Result]:
        """Do some steps, again and again until they are done.

        Args:
            make_steps: Gives them, from the first on.
            left: Says for how many seconds there may be pauses.

        Raises:
            Exception: See `wait_out`.
        """
        while True:
            try:
                result = yield from make_steps()
            except Exception as error:  # noqa: BLE001 - raised again where it does not pass
                yield from self.wait_out(error, left())
            else:
                self.answered()
                return result

    def answered(self) -> None:
        """Hear that the server has answered."""
        if self._failures:
            # At the level of its beginning: whoever read that is to read this.
            logger().warning("the result channel answers again")
        self._is_known, self._failures = True, 0

    def wait_out(self, error: Exception, left: float = math.inf) -> Generator[Pause, Any, None]:
        """Pause, and begin with new connections.

        Args:
            error: What was raised in place of an answer.
            left: For how many seconds there may be pauses.

        Raises:
            Exception: The error, if it does not pass, or not in that time.
        """
        if not self._is_known or left <= 0 or not passes(error):
            raise error
        if not self._failures:
            kind = type(error).__name__
            logger().warning("the result channel is waited for: %s: %s", kind, error)
        pause = FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 16)
        self._failures += 1
        yield Pause(min(pause, LONGEST_PAUSE_SECONDS, left))


def passes(error: Exception) -> bool:
    """Return whether trouble may pass by itself: no connection, a failover, a restart."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & LASTING:
        return False
    return bool(kinds & PASSING) or str(error).startswith(SAID)


def logger() -> Any:
    """Return where the client says what nobody asked for."""
    # Whoever never has trouble need not wait for it.
    import logging  # noqa: PLC0415

    return logging.getLogger("settle_client")
