"""What a pool slot does with a batch: applied, published, its results stored.

Runs in a thread or a child process of Celery's pool, so what goes in and comes
out can be pickled, and no exception gets out: Celery's thread pool would lose
it. The slot tries once; when to try again is the strategy's.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from celery import current_app, states
from celery.backends.base import DisabledBackend
from celery.utils.log import get_logger

from db import DatabaseError, TransientDatabaseError
from service.addresses import hide_password
from service.connections import service
from tasks.errors import OutcomesNotPublishedError
from tasks.settle import dead_letters
from worker.job import Done, NotDone
from worker.summary import summarize

if TYPE_CHECKING:
    from settle_client.outcome import Outcome
    from worker.job import Job

logger = get_logger(__name__)

# Committed and not yet published, by job. They stay here, for a report larger than
# a pipe takes at once can be torn when prefork's event loop starts anew. In another
# process, or after too many others, the next try reads them off the rows again.
_unpublished: dict[str, list[list[Outcome]]] = {}
MAX_UNPUBLISHED = 16
MAX_ERROR_CHARACTERS = 1_000


def work(job: Job) -> Done | NotDone:
    """Take a batch as far as it goes."""
    started = time.monotonic()
    try:
        outcomes = _unpublished.pop(job.key, None) or service().apply(job.messages)
        _keep(job, outcomes)
        applied = time.monotonic()
        summary = summarize(outcomes)
        letters = (
            dead_letters(job.messages, outcomes, job.deliveries)
            if summary.reasons["invalid"]
            else []
        )
        service().publish(outcomes, letters)
        _store_results(job, outcomes)
    except (DatabaseError, OutcomesNotPublishedError) as error:
        expected = isinstance(error, TransientDatabaseError | OutcomesNotPublishedError)
        return _not_done(error, expected=expected)
    except Exception as error:
        logger.exception("batch not settled", extra={"messages": len(job.messages)})
        return _not_done(error, expected=False)
    _unpublished.pop(job.key, None)
    seconds = {"applied": applied - started, "published": time.monotonic() - applied}
    return Done(summary, seconds)


def _keep(job: Job, outcomes: list[list[Outcome]]) -> None:
    _unpublished[job.key] = outcomes
    while len(_unpublished) > MAX_UNPUBLISHED:
        _unpublished.pop(next(iter(_unpublished)), None)


def _not_done(error: Exception, *, expected: bool) -> NotDone:
    kind = type(error).__name__
    return NotDone(kind, hide_password(f"{kind}: {error}")[:MAX_ERROR_CHARACTERS], expected)


def _store_results(job: Job, outcomes: list[list[Outcome]]) -> None:
    backend = current_app.backend
    if isinstance(backend, DisabledBackend):
        return
    for message, answers, wanted in zip(job.messages, outcomes, job.wants_result, strict=True):
        if wanted and message.id:
            result = [outcome.to_dict() for outcome in answers]
            backend.store_result(message.id, result, states.SUCCESS)
