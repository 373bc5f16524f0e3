"""What can go wrong with a message as a whole, and with publishing its outcomes."""

from settle_client.errors import SettleError


class NotUnderstoodError(SettleError):
    """The message is not one that carries status updates."""


class OutcomesNotPublishedError(SettleError):
    """The outcomes could not all be published just now; publishing them again is safe.

    Attributes:
        letters: How many of the dead letters, from the first on, are published.
        outcomes: How many of the outcomes are.
        digest: What those say, in short, if whoever published them has noted it.
        fix: What to do about it, if it is not that the server is away.
    """

    fix = ""

    def __init__(self, text: str = "", *, letters: int = 0, outcomes: int = 0) -> None:
        super().__init__(text)
        self.letters, self.outcomes = letters, outcomes
        self.digest = b""


class NoRoomError(OutcomesNotPublishedError):
    """The stream is full of outcomes that are kept for consumer groups."""

    fix = "start the consumers of the groups that SETTLE_OUTCOME_KEEP_FOR_GROUPS names"


class OutcomesMissingError(SettleError):
    """An update would have been left without an outcome."""
