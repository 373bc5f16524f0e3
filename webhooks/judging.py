"""What an answer means for an endpoint: delivered, tried again when, or not any more. Pure.

An endpoint is one queue, so what fails is tried again before anything behind it: that keeps
the order of an event's outcomes. A batch that is refused by an answer becomes smaller, so that
in the end only that waits which is refused.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

# By the hundred.
TAKEN, ELSEWHERE = 2, 3
GONE = 410
# What says nothing of the content: too many requests, or nobody who could answer now.
BUSY = (429, 503)
FIRST_WAIT_SECONDS = 1.0
LONGEST_RETRY_AFTER_SECONDS = 86_400.0
# One outcome that was refused so often is compared with another's fortune.
REFUSALS_BEFORE_DOUBT = 5
SECONDS_PER_DAY = 86_400.0


class Answer(NamedTuple):
    """What came of a request; without a status, `why` says what came in place of an answer."""

    status: int | None
    why: str = ""
    retry_after_seconds: float | None = None

    @property
    def is_delivered(self) -> bool:
        """Return whether the endpoint has taken what it was sent."""
        return self.status is not None and self.status // 100 == TAKEN

    @property
    def is_refusal(self) -> bool:
        """Return whether it may be for what was sent that it was not taken."""
        return self.status is not None and not self.is_delivered and self.status not in BUSY

    def __str__(self) -> str:
        if self.status is not None and self.status // 100 == ELSEWHERE:
            return f"it answered {self.status}: a redirect is not followed"
        return self.why or f"it answered {self.status}"


class State(NamedTuple):
    """How an endpoint stands, as far as it matters for what comes next."""

    failures: int = 0
    failing_since: float | None = None
    refusals: int = 0
    size: int | None = None

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        """Read it off what lies in Redis."""
        since, size = fields.get("failing_since"), fields.get("size")
        return cls(
            int(fields.get("failures", 0)),
            float(since) if since else None,
            int(fields.get("refusals", 0)),
            int(size) if size else None,
        )

    @property
    def is_in_doubt(self) -> bool:
        """Return whether it may be one outcome that is refused, and nothing else."""
        return self.refusals >= REFUSALS_BEFORE_DOUBT


class Limits(NamedTuple):
    """How patient we are."""

    retry_max_wait_seconds: float
    disable_after_days: float


class Consequence(NamedTuple):
    """What is recorded of a try.

    Attributes:
        wait_seconds: Until the next; None for none, until a person says so.
        changes: Fields of the state that are new.
        forgotten: Those that go.
    """

    wait_seconds: float | None
    changes: dict[str, Any]
    forgotten: tuple[str, ...] = ()

    @property
    def disabled(self) -> str | None:
        """Return why the endpoint is not tried any more, None if it is."""
        why: str | None = self.changes.get("disabled")
        return why


FAILING = ("failures", "failing_since", "refusals", "error")


def judge_success(state: State, max_outcomes: int, now: float) -> Consequence:
    """Judge a try that has delivered: what was made smaller grows again.

    Args:
        state: Before it.
        max_outcomes: Of a batch of this endpoint.
        now: In seconds of the epoch.
    """
    changes: dict[str, Any] = {"succeeded_at": now}
    forgotten = (*FAILING, "last")
    if state.size is not None and state.size * 2 < max_outcomes:
        return Consequence(0, {**changes, "size": state.size * 2}, forgotten)
    return Consequence(0, changes, (*forgotten, "size"))


def judge_failure(
    state: State, answer: Answer, count: int, limits: Limits, now: float
) -> Consequence:
    """Judge a try that has not delivered.

    Args:
        state: Before it.
        answer: What came of it.
        count: How many outcomes were in the batch.
        limits: How patient we are.
        now: In seconds of the epoch.
    """
    since = now if state.failing_since is None else state.failing_since
    is_one_refused = answer.is_refusal and count == 1
    changes: dict[str, Any] = {
        "failures": state.failures + 1,
        "failing_since": since,
        "failed_at": now,
        "error": str(answer),
        "refusals": state.refusals + 1 if is_one_refused else 0,
    }
    if answer.status == GONE:
        return Consequence(None, {**changes, **_disabled("it answered 410 Gone", now)})
    if now - since > limits.disable_after_days * SECONDS_PER_DAY:
        why = f"it has failed for {limits.disable_after_days:g} days: {answer}"
        return Consequence(None, {**changes, **_disabled(why, now)})
    if answer.is_refusal and count > 1:
        return Consequence(_wait(0, answer, limits), {**changes, "size": count // 2}, ("last",))
    # How often this very one was, so that finding what is refused does not take hours.
    before = state.refusals if is_one_refused else state.failures
    return Consequence(_wait(before, answer, limits), changes)


def _disabled(why: str, now: float) -> dict[str, Any]:
    return {"disabled": why, "disabled_at": now}


def _wait(before: int, answer: Answer, limits: Limits) -> float:
    """Return a pause of full jitter, and never less than the endpoint has asked for."""
    longest = min(limits.retry_max_wait_seconds, FIRST_WAIT_SECONDS * 2 ** min(before, 30))
    pause = random.uniform(0, longest)
    if answer.retry_after_seconds is None:
        return pause
    return min(answer.retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS) + pause
