"""What the log says of batches and messages: one line each, with the same fields everywhere.

A message is named by its id. Nothing of what it carries is written, and so not the
error of an update either, which quotes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger

from tasks.messages import InvalidUpdate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service.batching import Batch
    from tasks.messages import Message
    from worker.held import Held
    from worker.job import Done

logger = get_logger(__name__)


def log_settled(batch: Batch[Held], done: Done) -> None:
    """Say what became of a batch, and how long it took."""
    fields = {
        "batch": batch.number,
        "updates": batch.update_count,
        "messages": len(batch.items),
        "why": str(batch.why),
        "outcomes": dict(sorted(done.summary.reasons.items())),
        "waited_ms": _milliseconds(batch.waited_seconds),
        **{f"{step}_ms": _milliseconds(seconds) for step, seconds in done.seconds.items()},
    }
    logger.info("batch settled", extra=fields)


def log_refused(message: Message) -> None:
    """Say that a message, or a part of it, is not valid; why is in its dead letters."""
    invalid = sum(isinstance(update, InvalidUpdate) for update in message.updates)
    fields = {"message_id": message.id, "updates": len(message.updates), "invalid": invalid}
    logger.warning("message refused", extra=fields)


def log_dropped(items: Iterable[Held]) -> None:
    """Say that messages were dropped, each with why."""
    for held in items:
        fields = {"message_id": held.message.id, "why": held.drop_reason}
        logger.info("message dropped", extra=fields)


def failure_of(batch: Batch[Held], error: str) -> dict[str, Any]:
    """Return the fields of a line about a batch that was not settled."""
    text = error.partition("\n")[0]
    return {"batch": batch.number, "messages": len(batch.items), "error": text}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
