"""What can go wrong for whoever sends updates or reads outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class SettleError(Exception):
    """Settle could not do what it was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class InvalidUpdateError(SettleError, ValueError):
    """The update is not valid."""


class AddressError(SettleError, ValueError):
    """The URL, or an option beside it, names no server that can be used."""


class BelongsElsewhereError(SettleError, RuntimeError):
    """It was made for another process or event loop: make one in each."""


class NotSentError(SettleError):
    """The broker has not confirmed some messages in time."""

    def __init__(
        self, message_ids: Sequence[str], timeout_seconds: float, cause: Exception | None
    ) -> None:
        """Say how many there are, and why, as far as is known."""
        count = len(message_ids)
        why = f": {cause}" if cause else ", the producer is closed" if not timeout_seconds else ""
        noun = "message" if count == 1 else "messages"
        super().__init__(f"{count:,} {noun} not confirmed within {timeout_seconds:g} s{why}")
        self.message_ids = tuple(message_ids)
        self.__cause__ = cause
