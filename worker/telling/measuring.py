"""What happens in the consumer, counted as it happens: in the metrics, and in its vitals.

Called a few times a batch and never for every plain message, so that counting
costs nothing against what is counted.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from service.catalogue import OUTCOMES
from worker.job import Done
from worker.telling import metrics
from worker.telling.vitals import vitals
from worker.transport.delivery import sent_at

if TYPE_CHECKING:
    from service.batching import Batch
    from worker.held import Held
    from worker.job import Job

# Looked up once: a lookup by label costs more than an increment.
_MESSAGES = {path: metrics.MESSAGES.labels(path) for path in metrics.PATHS}
_UPDATES = {outcome: metrics.UPDATES.labels(outcome) for outcome in OUTCOMES}
_BATCHES = {why: metrics.BATCHES.labels(why) for why in metrics.WHYS}
_STEPS = {step: metrics.STEP_SECONDS.labels(step) for step in metrics.STEPS}


def fetched(path: str, count: int = 1) -> None:
    """Count messages that came.

    Args:
        path: How they are read: `plain` or `other`.
        count: How many.
    """
    _MESSAGES[path].inc(count)


def try_begins(job: Job) -> None:
    """Record that a slot has been given a batch."""
    vitals.begin_try(job.key, time.monotonic())


def try_ends(job: Job, result: Any) -> None:
    """Record what came of it; called in whatever thread the slot reports.

    Args:
        job: What the slot was given.
        result: `Done`, `NotDone`, or what became of the slot.
    """
    failure = "" if isinstance(result, Done) else getattr(result, "error", "") or str(result)
    vitals.end_try(job.key, failure, time.monotonic())


def tries_are_forgotten() -> None:
    """Forget the tries under way: the connection was lost, and some reports will never come."""
    vitals.tries.clear()


def settled(batch: Batch[Held], done: Done, acknowledging_seconds: float) -> None:
    """Measure a batch that is committed, published and acknowledged.

    Args:
        batch: As it left.
        done: What the slot said.
        acknowledging_seconds: How long the broker took.
    """
    for reason, count in done.summary.reasons.items():
        _UPDATES[reason].inc(count)
    metrics.DEAD_LETTERS.inc(done.summary.failed)
    metrics.BATCH_UPDATES.observe(batch.update_count)
    _BATCHES[batch.why].inc()
    _STEPS["waiting"].observe(batch.waited_seconds)
    _STEPS["applying"].observe(done.seconds["applied"])
    _STEPS["publishing"].observe(done.seconds["published"])
    _STEPS["acknowledging"].observe(acknowledging_seconds)
    first = batch.items[0]
    # What its sender delayed is late on purpose.
    sent = None if first.request is not None else sent_at(first.delivery.headers())
    if sent is not None:
        published_at = time.time() - acknowledging_seconds
        metrics.LATENCY_SECONDS.observe(max(0.0, published_at - sent))


def retried() -> None:
    """Count a try that is repeated."""
    metrics.BATCHES_RETRIED.inc()


def given_back() -> None:
    """Count a batch that goes back to the queue."""
    metrics.BATCHES_GIVEN_BACK.inc()


def tripped() -> None:
    """Count that the breaker stopped consuming."""
    metrics.BREAKER_TRIPS.inc()


def renewed(leases: int) -> None:
    """Count leases that were renewed."""
    metrics.LEASES_RENEWED.inc(leases)


def restored(messages: int) -> None:
    """Count messages of dead workers that were put back."""
    metrics.MESSAGES_RESTORED.inc(messages)
