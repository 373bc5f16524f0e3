"""What two polls in a row say: rates, means, and who answers; pure, the time is passed in.

A worker counts since it started. Its rates are what it counted between two
answers, by its own clock; one that restarted in between has counted from nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker.telling.metrics import CATALOGUE
from worker.watching.gauges import short_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# A worker that does not answer is listed for so long.
FORGOTTEN_AFTER_SECONDS = 60.0

_GROWING = tuple(short_name(metric) for metric in CATALOGUE if metric.kind != "gauge")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker said.

    Attributes:
        name: Its node name.
        pid: Its process's.
        stats: The section `settle` of `celery inspect stats`.
    """

    name: str
    pid: int
    stats: Mapping[str, Any]

    def number(self, *path: str) -> float | None:
        """Return what it says under a name and a label; None if it does not know."""
        value: Any = self.stats
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, int | float) else None

    @property
    def counted(self) -> dict[str, float]:
        """Return everything that only grows while it runs, such as `updates.not_found`."""
        return {
            name: value
            for metric in _GROWING
            for name, value in _flat(metric, self.stats.get(metric))
        }


@dataclass(frozen=True, slots=True)
class Poll:
    """What was asked once.

    Attributes:
        at: When, in seconds.
        answers: The workers', by their names.
        waiting: Messages in the queue; None if unknown, as are the next two and `delayed`.
        oldest_age_seconds: Since the oldest of them was sent.
        dead_letters: How many are kept.
        broker_away: Why the broker does not answer, if it does not.
        notes: What else could not be asked, and why.
        delayed: Messages that the broker holds until their time has come.
    """

    at: float
    answers: tuple[Answer, ...] = ()
    waiting: int | None = None
    oldest_age_seconds: float | None = None
    dead_letters: int | None = None
    broker_away: str = ""
    notes: tuple[str, ...] = ()
    delayed: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker, as it answered last.

    Attributes:
        answer: Its last.
        seen_at: When that was.
        per_second: By how much everything it counts grew; None if that is not known.
    """

    answer: Answer
    seen_at: float
    per_second: Mapping[str, float] | None = None

    def rate(self, prefix: str) -> float | None:
        """Return the rate of all whose names begin so."""
        if self.per_second is None:
            return None
        return sum(rate for name, rate in self.per_second.items() if name.startswith(prefix))

    def mean(self, name: str) -> float | None:
        """Return the mean of what was measured since it answered before; None if nothing was."""
        return mean_of(self.rate(f"{name}.sum"), self.rate(f"{name}.count"))


@dataclass(frozen=True, slots=True)
class View:
    """The service, at the time of a poll; the workers by name."""

    poll: Poll
    workers: tuple[WorkerView, ...] = ()

    def answers(self, worker: WorkerView) -> bool:
        """Return whether a worker answered this time."""
        return worker.seen_at == self.poll.at

    @property
    def answering(self) -> list[WorkerView]:
        """Return the workers that answered this time."""
        return [worker for worker in self.workers if self.answers(worker)]

    def sum_of(self, gauge: str) -> int:
        """Return the sum of a gauge over the workers that answer, whatever its labels."""
        return sum(
            int(value)
            for worker in self.answering
            for _, value in _flat(gauge, worker.answer.stats.get(gauge))
        )

    def total(self, name: str) -> int:
        """Return the sum of a counter over the workers, since each started."""
        return int(sum(worker.answer.counted.get(name, 0) for worker in self.workers))

    def rate(self, prefix: str) -> float | None:
        """Return the rate of all whose names begin so, of all workers; None if unknown."""
        rates = [rate for worker in self.workers if (rate := worker.rate(prefix)) is not None]
        return sum(rates) if rates else None

    def mean(self, name: str) -> float | None:
        """Return the mean of what was measured since the last poll; None if nothing was."""
        return mean_of(self.rate(f"{name}.sum"), self.rate(f"{name}.count"))


def mean_of(total: float | None, count: float | None) -> float | None:
    """Return a mean; None if there is nothing to take it of."""
    return total / count if total is not None and count else None


def advance(before: View | None, poll: Poll) -> View:
    """Return how the service is now, from how it was and what was asked since."""
    known = {} if before is None else {worker.answer.name: worker for worker in before.workers}
    now = {
        answer.name: WorkerView(answer, poll.at, _rates(known.get(answer.name), answer, poll.at))
        for answer in poll.answers
    }
    silent = {
        name: WorkerView(worker.answer, worker.seen_at)
        for name, worker in known.items()
        if name not in now and poll.at - worker.seen_at < FORGOTTEN_AFTER_SECONDS
    }
    together = now | silent
    return View(poll, tuple(together[name] for name in sorted(together)))


def _rates(before: WorkerView | None, answer: Answer, at: float) -> dict[str, float] | None:
    if before is None:
        return None
    counted = Counter(answer.counted)
    seconds = at - before.seen_at
    if not _restarted(before.answer, answer):
        counted.subtract(before.answer.counted)
        # Its own clock knows nothing of how long the answers took.
        ran = [one.number("uptime_seconds") for one in (before.answer, answer)]
        if ran[0] is not None and ran[1] is not None:
            seconds = ran[1] - ran[0]
    return {name: value / seconds for name, value in counted.items()} if seconds > 0 else None


def _restarted(before: Answer, after: Answer) -> bool:
    was, now = before.counted, after.counted
    return (
        before.pid != after.pid
        or (before.number("uptime_seconds") or 0) > (after.number("uptime_seconds") or 0)
        or any(now.get(name, 0) < value for name, value in was.items())
    )


def _flat(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for label, below in value.items():
            yield from _flat(f"{name}.{label}", below)
    elif isinstance(value, int | float):
        yield name, value
