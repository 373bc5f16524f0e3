"""Whether a worker is live and whether it is ready; pure, the time is passed in.

Live says that starting it anew would not help: it is asked before a worker is
killed. A worker whose server does not answer, or cannot be used, waits, and is live; stuck
is one that gets no further although all is well with its servers. Ready says that it settles
updates. Imports nothing that takes time, for `settle health` is run every few
seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from worker.telling.vitals import BROKER, NOT_ASKED, SERVERS, brief

if TYPE_CHECKING:
    from worker.telling.vitals import Vitals

# Of both statements of a batch it is known how long they take at most; the rest,
# and whatever else the event loop does, may take this long in all.
MARGIN_SECONDS = 60.0
STATEMENTS = 2


class Judgement(NamedTuple):
    """Whether something is so, and why."""

    holds: bool
    why: str


def longest_seconds(statement_timeout_seconds: float) -> float:
    """Return how long a try of a batch, or a turn of the event loop, takes at most."""
    return STATEMENTS * statement_timeout_seconds + MARGIN_SECONDS


def judge_live(vitals: Vitals, now: float, most_seconds: float) -> Judgement:
    """Judge whether a worker is not stuck.

    Args:
        vitals: What is known of it.
        now: In seconds, of the clock of the vitals.
        most_seconds: See `longest_seconds`.
    """
    overdue = _overdue(vitals, now, most_seconds)
    away = _away(vitals, SERVERS | BROKER) or _unfit(vitals)
    if overdue and not away:
        return Judgement(False, f"stuck: {overdue}")
    if overdue:
        return Judgement(True, f"waiting: {overdue}, and {away}")
    if vitals.connecting:
        return Judgement(True, f"waiting: {_connecting(vitals)}")
    return Judgement(True, "the event loop turns, and no batch is overdue")


def _overdue(vitals: Vitals, now: float, most_seconds: float) -> str:
    # A copy: the dictionary is written by other threads.
    begun = min(list(vitals.tries.values()), default=now)
    if now - begun > most_seconds:
        return f"a batch has been in its slot for {now - begun:.0f} s"
    if not vitals.connecting and now - vitals.turned_at > most_seconds:
        return f"the event loop has not turned for {now - vitals.turned_at:.0f} s"
    return ""


def judge_ready(vitals: Vitals) -> Judgement:
    """Judge whether a worker settles updates."""
    if vitals.connecting:
        return Judgement(False, _connecting(vitals))
    if away := _away(vitals, SERVERS):
        return Judgement(False, away)
    if unfit := _unfit(vitals):
        return Judgement(False, unfit)
    if not vitals.consuming:
        return Judgement(False, _not_consuming(vitals))
    if vitals.failing:
        return Judgement(False, f"a batch fails: {brief(vitals.failing)}")
    return Judgement(True, "it consumes, and its servers answer")


def _away(vitals: Vitals, names: dict[str, str]) -> str:
    for server, name in names.items():
        reason = vitals.away.get(server)
        if reason == NOT_ASKED:
            return f"{name} was not asked yet"
        if reason:
            return f"{name} does not answer: {reason}"
    return ""


def _unfit(vitals: Vitals) -> str:
    return f"the database cannot be used: {vitals.unfit}" if vitals.unfit else ""


def _not_consuming(vitals: Vitals) -> str:
    if vitals.stopped_because:
        return f"it does not consume: {vitals.stopped_because}"
    return "it begins to consume" if vitals.is_to_consume else "it does not consume: it was told so"


def _connecting(vitals: Vitals) -> str:
    return _away(vitals, BROKER) or "it connects to the broker"
