"""What can go wrong for whoever sends updates or reads outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from settle_client.outcome import Problem


class SettleError(Exception):
    """Settle could not do what it was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)

    def __reduce__(self) -> Any:
        # By what it says: not all kinds are made from that alone.
        return _remade, (type(self), self.args, self.__dict__)


def _remade(kind: type[SettleError], args: tuple[Any, ...], state: dict[str, Any]) -> SettleError:
    """Make an error anew from what it has, as where it comes from another process."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


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


class NotSentToShardsError(NotSentError):
    """Some of several shards have not confirmed messages in time.

    Attributes:
        errors: What each has raised, by its number.
        sent: Of several updates sent together, those that the other shards have taken: the
            events' ids, by the message's id.
    """

    def __init__(
        self, errors: Mapping[int, NotSentError], sent: Mapping[str, Sequence[str]]
    ) -> None:
        """Say what each has said."""
        text = "; ".join(f"shard {number}: {error}" for number, error in errors.items())
        SettleError.__init__(self, text)
        self.errors, self.sent = dict(errors), {id_: list(ids) for id_, ids in sent.items()}
        self.message_ids = tuple(id_ for error in errors.values() for id_ in error.message_ids)
        causes = (error.__cause__ for error in errors.values())
        self.__cause__ = next((cause for cause in causes if cause is not None), None)


class GatewayError(SettleError):
    """The gateway has not done what it was asked.

    Attributes:
        problem: What it says is wrong, as every error over HTTP has it; None if it says nothing.
        message_id: Of the message that the request was, if it was one: the same request under
            the same id is safe, and has the answer that this one would have had.
    """

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem
        self.message_id: str | None = None


class RefusedError(GatewayError):
    """The gateway has answered with an error, and would do so again."""


class NotFoundError(RefusedError):
    """There is no such event or message, or the key may not see it (404)."""


class ConflictError(RefusedError):
    """The event is settled already, or the message id is that of another request (409)."""


class GoneError(RefusedError):
    """Outcomes were trimmed before they were read (410).

    Attributes:
        begin: Where to begin, to read what is left; None where the text says what to do.
    """

    def __init__(self, message: str, problem: Problem | None, begin: str | None) -> None:
        super().__init__(message, problem)
        self.begin = begin


class NotAnsweredError(GatewayError):
    """There was no answer in time, or only that it should be asked for later.

    It is not known whether anything was done.
    """


class UnreadAnswerError(GatewayError):
    """What has answered is no gateway: a proxy, perhaps, or something else at this URL."""
