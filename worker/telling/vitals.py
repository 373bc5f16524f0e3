"""Whether a worker is live and whether it is ready; pure, the time is passed in.

Live says that starting it anew would not help: it is asked before a worker is
killed. A worker whose server does not answer waits, and is live; stuck is one
that gets no further although all its servers answer. Ready says that it settles
updates. Both are judged from what its threads have left word of here. Imports
nothing that takes time, for `settle health` is run every few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

# Of both statements of a batch it is known how long they take at most; the rest,
# and whatever else the event loop does, may take this long in all.
MARGIN_SECONDS = 60.0
STATEMENTS = 2
MAX_REASON_CHARACTERS = 200

SERVERS = {"database": "the database", "result_channel": "the result channel"}
BROKER = {"broker": "the broker"}


class Verdict(NamedTuple):
    """Whether something is so, and why."""

    holds: bool
    why: str


@dataclass(slots=True)
class Vitals:
    """What the threads of a worker have left word of; each is one assignment or look-up.

    Attributes:
        turned_at: When the event loop last turned.
        connecting: Whether the consumer waits for the broker, which its event loop does not
            survive: it does not turn meanwhile.
        consuming: Whether messages are fetched.
        stopped_because: Why the breaker has stopped that, if it has.
        tries: When each try that is under way began, by its job's key.
        answered_at: When a batch was last settled.
        failing: Why the last try of a batch failed, if it did.
        away: What a server that did not answer when last asked has said instead.
    """

    turned_at: float = 0.0
    connecting: bool = True
    consuming: bool = False
    stopped_because: str = ""
    tries: dict[str, float] = field(default_factory=dict)
    answered_at: float = float("-inf")
    failing: str = ""
    away: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys((*SERVERS, *BROKER), "it was not asked yet")
    )

    def connected(self, now: float) -> None:
        """Record that the broker is there, and that the event loop is about to turn."""
        self.turned_at, self.connecting = now, False
        self.hear("broker", "")

    def begin_try(self, key: str, now: float) -> None:
        """Record that a slot has been given a batch."""
        self.tries[key] = now

    def end_try(self, key: str, failure: str, now: float) -> None:
        """Record what came of it.

        Args:
            key: The job's.
            failure: Why the batch is not settled; '' if it is.
            now: In seconds.
        """
        self.tries.pop(key, None)
        self.failing = failure
        if not failure:
            self.answered_at = now
            for server in SERVERS:
                self.away.pop(server, None)

    def is_up(self, server: str) -> bool:
        """Return whether a server answered when it was last asked."""
        return server not in self.away and not (server in BROKER and self.connecting)

    def hear(self, server: str, failure: str) -> None:
        """Record whether a server answers.

        Args:
            server: Which.
            failure: What came in place of an answer; '' if it answered.
        """
        if failure:
            self.away[server] = failure
        else:
            self.away.pop(server, None)


def longest_seconds(statement_timeout_seconds: float) -> float:
    """Return how long a try of a batch, or a turn of the event loop, takes at most."""
    return STATEMENTS * statement_timeout_seconds + MARGIN_SECONDS


def judge_live(vitals: Vitals, now: float, most_seconds: float) -> Verdict:
    """Judge whether a worker is not stuck.

    Args:
        vitals: What is known of it.
        now: In seconds, of the clock of the vitals.
        most_seconds: See `longest_seconds`.
    """
    overdue = _overdue(vitals, now, most_seconds)
    away = _away(vitals, SERVERS | BROKER)
    if overdue and not away:
        return Verdict(False, f"stuck: {overdue}")
    if overdue:
        return Verdict(True, f"waiting: {overdue}, and {away}")
    if vitals.connecting:
        return Verdict(True, "waiting: the broker does not answer")
    return Verdict(True, "the event loop turns, and no batch is overdue")


def _overdue(vitals: Vitals, now: float, most_seconds: float) -> str:
    # A copy: the dictionary is written by other threads.
    begun = min(list(vitals.tries.values()), default=now)
    if now - begun > most_seconds:
        return f"a batch has been in its slot for {now - begun:.0f} s"
    if not vitals.connecting and now - vitals.turned_at > most_seconds:
        return f"the event loop has not turned for {now - vitals.turned_at:.0f} s"
    return ""


def judge_ready(vitals: Vitals) -> Verdict:
    """Judge whether a worker settles updates."""
    if vitals.connecting:
        return Verdict(False, "the broker does not answer")
    if away := _away(vitals, SERVERS):
        return Verdict(False, away)
    if not vitals.consuming:
        return Verdict(False, f"it does not consume: {vitals.stopped_because or 'it was told so'}")
    if vitals.failing:
        return Verdict(False, f"a batch fails: {_brief(vitals.failing)}")
    return Verdict(True, "it consumes, and its servers answer")


def _away(vitals: Vitals, names: dict[str, str]) -> str:
    for server, name in names.items():
        if reason := vitals.away.get(server):
            return f"{name} does not answer: {_brief(reason)}"
    return ""


def _brief(reason: str) -> str:
    return " ".join(reason.split())[:MAX_REASON_CHARACTERS]


# Of this process, which is one worker.
vitals = Vitals()
