"""What can go wrong with a message as a whole, and with publishing its outcomes."""

from settle_client.errors import SettleError


class NotUnderstoodError(SettleError):
    """The message is not one that carries status updates."""


class OutcomesNotPublishedError(SettleError):
    """The outcomes could not be published just now; publishing them again is safe."""


class OutcomesMissingError(SettleError):
    """An update would have been left without an outcome."""
