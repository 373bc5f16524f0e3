"""What a pool slot does with a batch: applied, published, its results handed on.

Runs in a thread or a child process of Celery's pool, so what goes in and comes
out can be pickled, and no exception gets out: Celery's thread pool would lose
it. The slot tries once; when to try again is the strategy's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from celery.utils.log import get_logger

from db import DatabaseError, TransientDatabaseError
from service.addresses import hide_password
from service.connections import service
from tasks.errors import OutcomesNotPublishedError
from tasks.messages import Message
from tasks.settle import dead_letters
from worker.job import Done, NotDone
from worker.summary import summarize
from worker.telling.result_store import result_store
from worker.telling.results import success

if TYPE_CHECKING:
    from settle_client.outcome import Outcome
    from tasks.publishing import DeadLetter
    from worker.job import Job

logger = get_logger(__name__)


@dataclass(slots=True)
class Committed:
    """A batch that is committed, and what of it is still to be published.

    Attributes:
        outcomes: For each message; none for one that is dropped.
        unpublished: Those of them, in one list.
        letters: The dead letters that are to be published before.
    """

    outcomes: list[list[Outcome]]
    unpublished: list[Outcome]
    letters: list[DeadLetter]

    @property
    def published(self) -> tuple[int, int]:
        """Return how many letters and outcomes are."""
        told = [outcome for answers in self.outcomes for outcome in answers]
        letters = sum(1 for outcome in told if outcome.error)
        return letters - len(self.letters), len(told) - len(self.unpublished)

    def publish(self) -> None:
        """Publish the rest.

        Raises:
            OutcomesNotPublishedError: There still is a rest.
        """
        try:
            service().publish([self.unpublished], self.letters)
        except OutcomesNotPublishedError as error:
            del self.letters[: error.letters]
            del self.unpublished[: error.outcomes]
            raise

    def learn(self, published: tuple[int, int]) -> None:
        """Learn how many letters and outcomes are published, perhaps by another process."""
        letters, outcomes = self.published
        del self.letters[: max(0, published[0] - letters)]
        del self.unpublished[: max(0, published[1] - outcomes)]


# Committed and not yet published, by job. They stay here, for a report larger than
# a pipe takes at once can be torn when prefork's event loop starts anew. In another
# process, or after too many others, the next try reads them off the rows again.
_unpublished: dict[str, Committed] = {}
MAX_UNPUBLISHED = 16
MAX_ERROR_CHARACTERS = 1_000


def work(job: Job) -> Done | NotDone:
    """Take a batch as far as it goes."""
    started = time.monotonic()
    try:
        batch = _unpublished.pop(job.key, None) or _commit(job)
        # What is in question may be seen otherwise by each process.
        if not job.in_question:
            batch.learn(job.published)
        _keep(job, batch)
        applied = time.monotonic()
        summary = summarize([answers for answers in batch.outcomes if answers])
        batch.publish()
    except (DatabaseError, OutcomesNotPublishedError) as error:
        expected = isinstance(error, TransientDatabaseError | OutcomesNotPublishedError)
        return _not_done(job, error, expected=expected)
    except Exception as error:
        logger.exception("batch not settled", extra={"messages": len(job.messages)})
        return _not_done(job, error, expected=False)
    _unpublished.pop(job.key, None)
    seconds = {"applied": applied - started, "published": time.monotonic() - applied}
    _hand_on_results(job, batch.outcomes)
    dropped = sum(1 << place for place in job.in_question if not batch.outcomes[place])
    return Done(summary, seconds, dropped)


def _commit(job: Job) -> Committed:
    outcomes = _apply(job)
    unpublished = [outcome for answers in outcomes for outcome in answers]
    letters = _letters(job, outcomes) if any(outcome.error for outcome in unpublished) else []
    return Committed(outcomes, unpublished, letters)


def _apply(job: Job) -> list[list[Outcome]]:
    """Apply a batch; a message that is dropped carries no updates, and has no outcomes."""
    if not job.in_question:
        return service().apply(job.messages)
    messages = [*job.messages]
    in_question = [messages[place] for place in job.in_question]
    for place, was in zip(job.in_question, service().were_applied(in_question), strict=True):
        if not was:
            messages[place] = Message(messages[place].id, ())
    return service().apply(messages)


def _letters(job: Job, outcomes: list[list[Outcome]]) -> list[DeadLetter]:
    answered = [place for place, answers in enumerate(outcomes) if answers]
    return dead_letters(
        [job.messages[place] for place in answered],
        [outcomes[place] for place in answered],
        [job.deliveries[place] for place in answered],
    )


def _keep(job: Job, batch: Committed) -> None:
    _unpublished[job.key] = batch
    while len(_unpublished) > MAX_UNPUBLISHED:
        _unpublished.pop(next(iter(_unpublished)), None)


def _not_done(job: Job, error: Exception, *, expected: bool) -> NotDone:
    kind = type(error).__name__
    said = hide_password(f"{kind}: {error}")[:MAX_ERROR_CHARACTERS]
    batch = _unpublished.get(job.key)
    return NotDone(kind, said, expected, batch.published if batch else job.published)


def _hand_on_results(job: Job, outcomes: list[list[Outcome]]) -> None:
    store = result_store()
    if store is None:
        return
    wanted = [
        success(message.id, answers)
        for message, answers, wanted in zip(job.messages, outcomes, job.wants_result, strict=True)
        if wanted and message.id and answers
    ]
    if wanted:
        store.add(wanted)
