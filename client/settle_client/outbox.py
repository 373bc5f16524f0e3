"""What was handed in and not confirmed yet, and what is to be done about it.

The producer without its I/O: what goes out next, when, and what is confirmed; who
waits for room, and for how long; when to try again. What is to be done is asked of a
face (`settle_client.steps`), which must let nobody else in while it is not waiting.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from settle_client.checking import check
from settle_client.envelope import Envelope, bulk, single
from settle_client.errors import InvalidUpdateError, NotSentError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from settle_client.update import StatusUpdate

Result = TypeVar("Result")

# One write: what Redis takes in a few milliseconds.
MAX_MESSAGES = 1_000
MAX_BYTES = 2**20
PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


class Bell(Enum):
    """Who is to look again."""

    SENDER = "there is something to send"
    CALLERS = "something was confirmed"


class Wait(NamedTuple):
    """Wait until something holds, and return whether it does.

    It is looked at again whenever the bell rings, and when the time is over.
    """

    bell: Bell
    until: Callable[[], bool]
    seconds: float | None = None


class Push(NamedTuple):
    """Put messages into the queue, in order; return when the broker has all of them."""

    envelopes: Sequence[Envelope]


class Limits(NamedTuple):
    """How long, and for how much: see `Producer`."""

    max_wait_seconds: float
    max_unsent_updates: int
    timeout_seconds: float


if TYPE_CHECKING:
    Steps = Generator[Wait | Push, Any, Result]


class Outbox:
    """The unsent messages of one producer."""

    def __init__(self, limits: Limits, ring: Callable[[Bell], None]) -> None:
        self.limits = limits
        self.is_closed = False
        self._ring = ring
        self._unsent: deque[Envelope] = deque()
        self._unsent_updates = self._unsent_bytes = 0
        self._accepted = self._confirmed = 0
        self._hurry = False
        self._trouble: Exception | None = None

    # -- for callers -----------------------------------------------------------------

    def send(self, update: StatusUpdate | Mapping[str, Any]) -> Steps[str]:
        """Take one update as a message of its own; return the message's id.

        Raises:
            InvalidUpdateError: At once.
            NotSentError: There was no room for it in time.
        """
        return self._accept(single(check(update)))

    def send_together(self, updates: Iterable[StatusUpdate | Mapping[str, Any]]) -> Steps[str]:
        """Take several updates as one message; return the message's id.

        Raises:
            InvalidUpdateError: At once.
            NotSentError: There was no room for them in time.
        """
        checked = [check(update) for update in updates]
        if not checked:
            raise InvalidUpdateError("a message carries at least one update")
        return self._accept(bulk(checked))

    def _accept(self, envelope: Envelope) -> Steps[str]:
        seconds = self.limits.timeout_seconds
        if not self._has_room(envelope) and not (
            yield Wait(Bell.CALLERS, lambda: self._has_room(envelope), seconds)
        ):
            raise NotSentError([envelope.message_id], seconds, self._trouble)
        if self.is_closed:
            raise NotSentError([envelope.message_id], 0, None)
        self._unsent.append(envelope)
        self._accepted += 1
        self._unsent_updates += envelope.update_count
        self._unsent_bytes += len(envelope.body)
        if len(self._unsent) == 1 or self.is_enough:
            self._ring(Bell.SENDER)
        return envelope.message_id

    def _has_room(self, envelope: Envelope) -> bool:
        after = self._unsent_updates + envelope.update_count
        return self.is_closed or not self._unsent or after <= self.limits.max_unsent_updates

    def flush(self) -> Steps[None]:
        """Wait until what was taken so far is confirmed.

        Raises:
            NotSentError: It is not, in time.
        """
        upto, seconds = self._accepted, self.limits.timeout_seconds
        self._hurry = True
        self._ring(Bell.SENDER)
        if not (yield Wait(Bell.CALLERS, lambda: self._confirmed >= upto, seconds)):
            missing = islice(self._unsent, upto - self._confirmed)
            ids = [envelope.message_id for envelope in missing]
            raise NotSentError(ids, seconds, self._trouble)

    def close(self) -> Steps[None]:
        """Wait for the same, and take and send nothing any more.

        Raises:
            NotSentError: See `flush`.
        """
        try:
            yield from self.flush()
        finally:
            self.is_closed = True
            self._ring(Bell.SENDER)
            self._ring(Bell.CALLERS)

    # -- for the one that sends --------------------------------------------------------

    def send_out(self) -> Steps[None]:
        """Send what is there, again and again until it is confirmed, and until closed."""
        tries = 0
        while chunk := (yield from self._next()):
            try:
                yield Push(chunk)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                tries += 1
                self._trouble = error
                pause = min(PAUSE_SECONDS * 2**tries, LONGEST_PAUSE_SECONDS)
                yield Wait(Bell.SENDER, lambda: self.is_closed, pause)
            else:
                tries = 0
                self._confirm(chunk)

    def _next(self) -> Steps[list[Envelope]]:
        """Return what to send now, nothing when it is over."""
        yield Wait(Bell.SENDER, lambda: bool(self._unsent) or self.is_closed)
        seconds = self.limits.max_wait_seconds
        yield Wait(Bell.SENDER, lambda: self.is_enough or self.is_closed, seconds)
        chunk: list[Envelope] = []
        size = 0
        for envelope in islice(self._unsent, 0 if self.is_closed else MAX_MESSAGES):
            size += len(envelope.body)
            if chunk and size > MAX_BYTES:
                break
            chunk.append(envelope)
        return chunk

    @property
    def is_enough(self) -> bool:
        """Return whether the next write need not wait for more."""
        return self._hurry or len(self._unsent) >= MAX_MESSAGES or self._unsent_bytes >= MAX_BYTES

    def _confirm(self, chunk: Sequence[Envelope]) -> None:
        for envelope in chunk:
            self._unsent.popleft()
            self._unsent_updates -= envelope.update_count
            self._unsent_bytes -= len(envelope.body)
        self._confirmed += len(chunk)
        self._hurry = self._hurry and bool(self._unsent)
        self._trouble = None
        self._ring(Bell.CALLERS)
