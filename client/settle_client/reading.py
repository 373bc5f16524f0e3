"""Reading the result channel, without its I/O: which command is next, and what its reply means.

The outcomes that a caller gets, listens to and waits for; those of a consumer group are
`settle_client.following`'s. Commands are asked of a face (`settle_client.steps`). Outcomes
may repeat: drop those whose `identity` was seen.
"""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from settle_client.names import OUTCOMES
from settle_client.patience import Patience
from settle_client.salvage import read_entry, read_outcome
from settle_client.steps import Given

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping

    from settle_client.outcome import Outcome

ENTRIES_PER_READ = 500
# How long a read waits for news before the caller's deadline is looked at again.
BLOCK_SECONDS = 1.0
# For how long the end of the stream is asked for.
POSITION_SECONDS = 3.0
# So long a connection may be silent before it is asked whether it is there.
SILENT_SECONDS = 10.0

Result = TypeVar("Result")

if TYPE_CHECKING:
    Command = tuple[Any, ...]
    Clock = Callable[[], float]
    Commands = Generator[Any, Any, Result]
    Reading = Generator[Any, Any, Result]
    Entry = tuple[str, Outcome]


class Hear(NamedTuple):
    """A step: wait for a message of the channel, for so many seconds."""

    seconds: float


class Knock(NamedTuple):
    """A step: ask the channel's connection for a sign of life, which will be a message."""


def position(now: Clock = time.monotonic) -> Commands[str]:
    """Find where the stream ends now."""
    patience = Patience(is_endless=False)
    newest = yield from patience.outlast(_find_newest, _countdown(POSITION_SECONDS, now))
    return newest[0][0] if newest else "0-0"


def _find_newest() -> Commands[Any]:
    return (yield "XREVRANGE", OUTCOMES, "+", "-", "COUNT", 1)


def poll(since: str, wait_seconds: float, now: Clock = time.monotonic) -> Commands[list[Entry]]:
    """Read some of what the stream holds after a position, waiting for it if it is nothing.

    Trouble that passes is waited out too, and raised where no time is left.
    """
    left = _countdown(wait_seconds, now)
    patience = Patience(is_endless=False)
    while True:
        is_last = left() <= BLOCK_SECONDS
        came = yield from patience.outlast(partial(_read_some, since, left), left)
        if came or is_last:
            return came


def _countdown(seconds: float, now: Clock) -> Clock:
    deadline = now() + seconds
    return lambda: deadline - now()


def _read_some(since: str, left: Clock) -> Commands[list[Entry]]:
    # Never longer than a connection is waited for.
    block = max(int(min(left(), BLOCK_SECONDS) * 1000), 1)
    reply = yield "XREAD", "COUNT", ENTRIES_PER_READ, "BLOCK", block, "STREAMS", OUTCOMES, since
    return [(id_, read_entry(fields)) for id_, fields in entries_of(reply)]


def read(since: str) -> Reading[None]:
    """Read the stream from a position on, and go on waiting for more."""
    patience = Patience(is_endless=True)
    while True:
        came = yield from patience.outlast(partial(_read_some, since, lambda: BLOCK_SECONDS))
        for position, outcome in came:
            since = position
            if (yield Given(outcome)):
                return


def wait(
    messages: Mapping[str, Collection[str]],
    timeout_seconds: float,
    since: str,
    now: Clock = time.monotonic,
) -> Reading[None]:
    """Read until each update of some messages has an outcome, and give each outcome once.

    Raises:
        TimeoutError: Some have not come in time; it says how many.
    """
    missing = Counter((message, id_) for message, ids in messages.items() for id_ in ids)
    seen: set[tuple[str | int | None, ...]] = set()
    left = _countdown(timeout_seconds, now)
    patience = Patience(is_endless=False)
    while missing:
        if left() <= 0:
            raise _too_late(timeout_seconds, missing.total())
        try:
            came = yield from patience.outlast(partial(_read_some, since, left), left)
        except Exception as error:
            if left() > 0:
                raise
            raise _too_late(timeout_seconds, missing.total(), error) from error
        for position, outcome in came:
            since = position
            if outcome.message_id in messages and outcome.identity not in seen:
                seen.add(outcome.identity)
                _strike_off(missing, (outcome.message_id, outcome.id or ""))
                if (yield Given(outcome)):
                    return


def _strike_off(missing: Counter[tuple[str, str]], update: tuple[Any, str]) -> None:
    """Take one off: a message may carry several updates of an event."""
    if missing[update] > 1:
        missing[update] -= 1
    else:
        missing.pop(update, None)


def _too_late(seconds: float, count: int, error: Exception | None = None) -> TimeoutError:
    why = f": {error}" if error else ""
    return TimeoutError(f"no outcome within {seconds:g} s for {count:,} of the updates{why}")


def listen() -> Reading[None]:
    """Give what is published, for as long as the caller listens."""
    # It has answered: listening has begun.
    patience = Patience(is_endless=False)
    while True:
        message = yield from patience.outlast(_hear)
        if (outcome := heard(message)) and (yield Given(outcome)):
            return


def _hear() -> Commands[Any]:
    """Wait for a message, and see that a silent connection is one."""
    silent_seconds = 0.0
    while (message := (yield Hear(BLOCK_SECONDS))) is None:
        silent_seconds += BLOCK_SECONDS
        if silent_seconds == SILENT_SECONDS:
            yield Knock()
        if silent_seconds >= 2 * SILENT_SECONDS:
            raise ConnectionError("the connection is silent")
    return message


def heard(message: Any) -> Outcome | None:
    """Take the outcome out of what a listener was sent, if it is one."""
    if message is None or message["type"] != "message":
        return None
    return read_outcome(message["data"])


def entries_of(reply: Any) -> list[Any]:
    """Take the entries of the one stream out of an XREAD reply, of either protocol."""
    if not reply:
        return []
    entries = (reply[OUTCOMES] if isinstance(reply, dict) else reply[0][1]) or []
    # Of the newer protocol redis-py puts all of them into one, unless told otherwise.
    is_one = len(entries) == 1 and not (entries[0] and isinstance(entries[0][0], str))
    return entries[0] if is_one else entries
