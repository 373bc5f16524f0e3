"""What a pool slot does with a batch: applied, published, its results handed on.

Runs in a thread or a child process of Celery's pool, so what goes in and comes
out can be pickled, and no exception gets out: Celery's thread pool would lose
it. The slot tries once; when to try again is the strategy's.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from celery.utils.log import get_logger

from db import DatabaseError, TransientDatabaseError
from service.addresses import hide_password
from service.connections import service
from tasks.errors import OutcomesNotPublishedError
from worker.applying.answering import MAX_ERROR_CHARACTERS, apply, publish
from worker.job import Done, NotDone, Published
from worker.summary import summarize
from worker.telling.result_store import result_store
from worker.telling.results import success

if TYPE_CHECKING:
    from settle_client.outcome import Outcome
    from tasks.settle import Settled
    from worker.job import Job

logger = get_logger(__name__)

# Committed and not yet published, by job. They stay here, for a report larger than
# a pipe takes at once can be torn when prefork's event loop starts anew. In another
# process, or after too many others, the next try reads them off the rows again.
_unpublished: dict[str, Settled] = {}
MAX_UNPUBLISHED = 16


def work(job: Job) -> Done | NotDone:
    """Take a batch as far as it goes."""
    started = time.monotonic()
    try:
        settled = _unpublished.pop(job.key, None) or apply(service(), job)
        _keep(job, settled)
        applied = time.monotonic()
        settled = _publish(job, settled)
        if len(settled.doubtful) == len(job.messages):
            _unpublished.pop(job.key, None)
            return _in_doubt(job, settled)
        summary = summarize([answers for answers in settled.outcomes if answers])
    except (DatabaseError, OutcomesNotPublishedError) as error:
        expected = isinstance(error, TransientDatabaseError | OutcomesNotPublishedError)
        return _not_done(job, error, expected=expected)
    except Exception as error:
        logger.exception("batch not settled", extra={"messages": len(job.messages)})
        return _not_done(job, error, expected=False)
    _unpublished.pop(job.key, None)
    seconds = {"applied": applied - started, "published": time.monotonic() - applied}
    _hand_on_results(job, settled.outcomes)
    places = [place for place in job.in_question if place not in settled.doubtful]
    dropped = sum(1 << place for place in places if not settled.outcomes[place])
    if not settled.doubtful:
        return Done(summary, seconds, settled.changed, dropped=dropped)
    doubtful = sum(1 << place for place in settled.doubtful)
    doubt = _in_doubt(job, settled)
    return Done(summary, seconds, settled.changed, doubtful, doubt, dropped)


def _publish(job: Job, settled: Settled) -> Settled:
    """Publish what is settled, and return it without what nothing could be published of."""
    with_letters = any(outcome.error for answers in settled.outcomes for outcome in answers)
    hopeless = publish(service(), job, settled.outcomes, with_letters=with_letters)
    if not hopeless:
        return settled
    outcomes = [[] if place in hopeless else it for place, it in enumerate(settled.outcomes)]
    return settled._replace(outcomes=outcomes, doubtful=settled.doubtful | hopeless)


def _in_doubt(job: Job, settled: Settled) -> NotDone:
    return _not_done(job, next(iter(settled.doubtful.values())), expected=False, in_doubt=True)


def _keep(job: Job, settled: Settled) -> None:
    # That anything can be settled is known of this try only.
    _unpublished[job.key] = settled._replace(changed=0)
    while len(_unpublished) > MAX_UNPUBLISHED:
        _unpublished.pop(next(iter(_unpublished)), None)


def _not_done(job: Job, error: Exception, *, expected: bool, in_doubt: bool = False) -> NotDone:
    kind = type(error).__name__
    said = hide_password(f"{kind}: {error}")[:MAX_ERROR_CHARACTERS]
    published = job.published
    if isinstance(error, OutcomesNotPublishedError):
        published = Published(error.letters, error.outcomes, error.digest)
    took_too_long = getattr(error, "took_too_long", False)
    return NotDone(kind, said, expected, in_doubt, took_too_long, published)


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
