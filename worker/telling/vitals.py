"""What the threads of a worker have left word of; pure, the time is passed in.

What it means, whether the worker is live and ready, is judged by whoever asks:
`worker.watching.judging`. Imports nothing that takes time, for `settle health` is
run every few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SERVERS = {"database": "the database", "result_channel": "the result channel"}
BROKER = {"broker": "the broker"}
NOT_ASKED = "not asked yet"
MAX_REASON_CHARACTERS = 200


@dataclass(slots=True)
class Vitals:
    """What the threads of a worker have left word of; each is one assignment or look-up.

    Attributes:
        turned_at: When the event loop last turned.
        connecting: Whether the consumer waits for the broker, which its event loop does not
            survive: it does not turn meanwhile.
        is_to_consume: Whether the queue is one of those that messages are to be fetched from.
        consuming: Whether they are.
        stopped_because: Why the breaker has stopped that, if it has.
        tries: When each try that is under way began, by its job's key.
        answered_at: When a batch was last settled.
        failing: Why the last try of a batch failed, if it did.
        away: What a server that did not answer when last asked has said instead, and the fix.
        database: What the database is like, as found when it was looked at in full.
        unfit: Why updates cannot be settled in the database, although it answers, and the fix.
    """

    turned_at: float = 0.0
    connecting: bool = True
    is_to_consume: bool = True
    consuming: bool = False
    stopped_because: str = ""
    tries: dict[str, float] = field(default_factory=dict)
    answered_at: float = float("-inf")
    failing: str = ""
    away: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys((*SERVERS, *BROKER), NOT_ASKED)
    )
    database: str = ""
    unfit: str = ""

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

    def hear(self, server: str, failure: str, fix: str = "") -> None:
        """Record whether a server answers.

        Args:
            server: Which.
            failure: What came in place of an answer; '' if it answered.
            fix: What to do about it.
        """
        if failure:
            self.away[server] = with_fix(failure, fix)
        else:
            self.away.pop(server, None)


def brief(reason: str) -> str:
    """Return a reason in one line of bearable length."""
    return " ".join(reason.split())[:MAX_REASON_CHARACTERS]


def with_fix(reason: str, fix: str) -> str:
    """Return a reason in one line, and what to do about it, which is never cut."""
    return f"{brief(reason)}; {fix}" if fix else brief(reason)


# Of this process, which is one worker.
vitals = Vitals()
