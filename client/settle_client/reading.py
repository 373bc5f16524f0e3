"""Reading the result channel, without its I/O: which command is next, and what its reply means.

The outcomes that a caller gets, what is acknowledged, taken over from others, waited
for. Commands are asked of a face (`settle_client.steps`). Outcomes may repeat: drop
those whose `identity` was seen.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from settle_client.names import OUTCOMES
from settle_client.outcome import Outcome
from settle_client.steps import Given

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence

ENTRIES_PER_READ = 500
# How long a read waits for news before the caller's deadline is looked at again.
BLOCK_SECONDS = 1.0

Result = TypeVar("Result")

if TYPE_CHECKING:
    Command = tuple[Any, ...]
    Clock = Callable[[], float]
    Commands = Generator[Command, Any, Result]
    Reading = Generator[Command | Given, Any, Result]


def position() -> Commands[str]:
    """Find where the stream ends now."""
    newest = yield "XREVRANGE", OUTCOMES, "+", "-", "COUNT", 1
    return newest[0][0] if newest else "0-0"


def poll(
    since: str, wait_seconds: float, now: Clock = time.monotonic
) -> Commands[list[tuple[str, Outcome]]]:
    """Read some of what the stream holds after a position, waiting for it if it is nothing."""
    deadline = now() + wait_seconds
    while True:
        left = deadline - now()
        # Never longer than a connection is waited for.
        block = max(int(min(left, BLOCK_SECONDS) * 1000), 1)
        reply = yield "XREAD", "COUNT", ENTRIES_PER_READ, "BLOCK", block, "STREAMS", OUTCOMES, since
        if (entries := _entries(reply)) or left <= BLOCK_SECONDS:
            return [(id_, Outcome.from_json(fields["outcome"])) for id_, fields in entries]


def read(since: str) -> Reading[None]:
    """Read the stream from a position on, and go on waiting for more."""
    while True:
        for position, outcome in (yield from poll(since, BLOCK_SECONDS)):
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
    deadline = now() + timeout_seconds
    while missing:
        left = deadline - now()
        if left <= 0:
            raise TimeoutError(
                f"no outcome within {timeout_seconds:g} s for {missing.total()} of the updates"
            )
        for position, outcome in (yield from poll(since, min(left, BLOCK_SECONDS), now)):
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


def follow(
    group: str, consumer: str, claim_after_seconds: float, now: Clock = time.monotonic
) -> Reading[None]:
    """Read the stream as one member of a consumer group."""
    yield from _make_group(group)
    if (yield from _resume(group, consumer)):
        return
    claim_at = now()
    while True:
        if now() >= claim_at:
            claim_at = now() + claim_after_seconds
            if (yield from _take_over(group, consumer, claim_after_seconds)):
                return
        entries = yield from _read_group(group, consumer, ">")
        if (yield from _hand_out(group, entries)):
            return


def _make_group(group: str) -> Commands[None]:
    try:
        yield "XGROUP CREATE", OUTCOMES, group, "0", "MKSTREAM"
    except Exception as error:
        # It is there.
        if "BUSYGROUP" not in str(error):
            raise


def _resume(group: str, consumer: str) -> Reading[bool]:
    """Give what this member had not acknowledged; return whether the caller has left."""
    since = "0"
    while entries := (yield from _read_group(group, consumer, since)):
        if (yield from _hand_out(group, entries)):
            return True
        since = entries[-1][0]
    return False


def _take_over(group: str, consumer: str, idle_seconds: float) -> Reading[bool]:
    """Give what members have left for so long; return whether the caller has left."""
    cursor, idle = "0-0", int(idle_seconds * 1000)
    while True:
        cursor, entries, *_ = yield (
            *("XAUTOCLAIM", OUTCOMES, group, consumer, idle, cursor),
            *("COUNT", ENTRIES_PER_READ),
        )
        if (yield from _hand_out(group, entries)):
            return True
        if cursor == "0-0":
            return False


def _read_group(group: str, consumer: str, since: str) -> Commands[list[Any]]:
    block = ("BLOCK", int(BLOCK_SECONDS * 1000)) if since == ">" else ()
    reply = yield (
        *("XREADGROUP", "GROUP", group, consumer, "COUNT", ENTRIES_PER_READ, *block),
        *("STREAMS", OUTCOMES, since),
    )
    return _entries(reply)


def _hand_out(group: str, entries: Sequence[Any]) -> Reading[bool]:
    """Give outcomes, and acknowledge those that were followed by a wish for the next.

    Returns:
        Whether the caller has left.
    """
    handled: list[str] = []
    has_left = False
    trouble: ValueError | None = None
    for entry_id, fields in entries:
        # Trimmed away while it was pending: there is nothing left to give.
        if fields:
            try:
                outcome = Outcome.from_json(fields["outcome"])
            except ValueError as error:
                trouble = error
                break
            if has_left := (yield Given(outcome)):
                break
        handled.append(entry_id)
    if handled:
        yield "XACK", OUTCOMES, group, *handled
    if trouble is not None:
        raise trouble
    return has_left


def heard(message: Any) -> Outcome | None:
    """Take the outcome out of what a listener was sent, if it is one."""
    if message is None or message["type"] != "message":
        return None
    return Outcome.from_json(message["data"])


def _entries(reply: Any) -> list[Any]:
    """Take the entries of the one stream out of an XREAD reply, of either protocol."""
    if not reply:
        return []
    return (reply[OUTCOMES] if isinstance(reply, dict) else reply[0][1]) or []
