"""What can go wrong with a message as a whole, and with telling its outcomes."""

from __future__ import annotations


class SettleError(Exception):
    """Settle could not do what it was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class NotUnderstoodError(SettleError):
    """The message is not one that carries status updates."""


class OutcomesNotPublishedError(SettleError):
    """The outcomes could not be published just now; publishing them again is safe."""


class OutcomesMissingError(SettleError):
    """An update would have been left without an outcome."""
