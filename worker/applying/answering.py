"""A batch, applied and published, also where one of its messages makes something fail.

Whatever fails for the sake of one message is tried with fewer until that message stands
alone (`tasks.isolating`); its neighbours are answered as if it had not been there. A message
that stands alone is answered too, unless all failed alike: then it may be the system, and it
is left in doubt. Nothing is tried twice here that a server is away for.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from celery.utils.log import get_logger
from msgspec import UNSET
from msgspec.structs import replace

from db import BadDataError, DatabaseError, TransientDatabaseError
from settle_client.outcome import Outcome, Problem
from tasks.errors import OutcomesNotPublishedError
from tasks.isolating import isolate
from tasks.messages import InvalidUpdate, printable
from tasks.publishing import DeadLetter
from tasks.settle import Settled, dead_letters, invalid, raw_of
from worker.applying.remainder import publish_rest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.connections import Service
    from tasks.messages import Message
    from worker.job import Job

logger = get_logger(__name__)

MAX_ERROR_CHARACTERS = 1_000


def apply(service: Service, job: Job) -> Settled:
    """Apply a batch; what cannot be applied whatever its neighbours are is answered `invalid`.

    What is in question, and was not applied before, is passed over: it has no outcomes.

    Raises:
        DatabaseError: See `tasks.settle.settle`.
    """

    def attempt(part: Sequence[int]) -> tuple[Sequence[int], Settled]:
        messages = [job.messages[place] for place in part]
        return part, service.apply(messages, others_succeed=job.others_succeed)

    not_applied, not_known = _look_up(service, job)
    passed_over = not_applied | not_known.keys()
    places = [place for place in range(len(job.messages)) if place not in passed_over]
    parts, failed = isolate(places, attempt, passing=(DatabaseError,))
    outcomes: list[list[Outcome]] = [[] for _ in job.messages]
    doubtful: dict[int, Exception] = {}
    for part, settled in parts:
        for place, answers in zip(part, settled.outcomes, strict=True):
            outcomes[place] = answers
        doubtful |= {part[number]: error for number, error in settled.doubtful.items()}
    changed = sum(settled.changed for _, settled in parts)
    for place, error in (*failed, *not_known.items()):
        if changed or job.others_succeed:
            outcomes[place] = _answer_failure(job.messages[place], error)
        else:
            doubtful[place] = error
    return Settled(outcomes, changed, doubtful)


def _look_up(service: Service, job: Job) -> tuple[set[int], dict[int, Exception]]:
    """Return what of that which is in question was not applied, and of what it is not known."""

    def attempt(part: Sequence[int]) -> list[int]:
        applied = service.were_applied([job.messages[place] for place in part])
        return [place for place, was in zip(part, applied, strict=True) if not was]

    parts, failed = isolate(job.in_question, attempt, passing=(TransientDatabaseError,))
    not_applied = set(chain.from_iterable(parts))
    not_known: dict[int, Exception] = {}
    for place, error in failed:
        if isinstance(error, BadDataError):
            # No event can be named so.
            not_applied.add(place)
        elif isinstance(error, DatabaseError):
            raise error
        else:
            not_known[place] = error
    return not_applied, not_known


def _answer_failure(message: Message, error: Exception) -> list[Outcome]:
    fields = {"message_id": message.id, "updates": len(message.updates)}
    logger.error("message not applied", extra=fields, exc_info=error)
    said = f"it cannot be applied: {type(error).__name__}, see the worker's log"
    return [
        invalid(
            message.id,
            update.id,
            update.status,
            update.error if isinstance(update, InvalidUpdate) else said,
            index=index,
        )
        for index, update in enumerate(message.updates)
    ]


def publish(
    service: Service, job: Job, outcomes: Sequence[Sequence[Outcome]], *, with_letters: bool
) -> dict[int, Exception]:
    """Publish outcomes, and dead letters before them.

    A message whose outcomes cannot be written is told as much of them as can be: it may be
    settled. Why they are not whole is in its dead letters.

    Args:
        service: Where to publish.
        job: The batch.
        outcomes: For each of its messages; none for one that is in doubt, or dropped.
        with_letters: Whether there is anything to make a dead letter of.

    Returns:
        The places of messages of which nothing could be published at all, and why.

    Raises:
        OutcomesNotPublishedError: Publish the same again; what is certainly published of it
            is then left out, if it says how far that is.
    """

    def attempt(part: Sequence[int]) -> None:
        answers = [outcomes[place] for place in part]
        letters: list[DeadLetter] = []
        if with_letters:
            messages = [job.messages[place] for place in part]
            letters = dead_letters(messages, answers, [job.deliveries[place] for place in part])
        if len(part) == len(answered):
            publish_rest(service, list(chain.from_iterable(answers)), letters, job.published)
        else:
            service.publish(answers, letters)

    answered = [place for place, answers in enumerate(outcomes) if answers]
    _, failed = isolate(answered, attempt, passing=(OutcomesNotPublishedError,))
    unpublished: dict[int, Exception] = {}
    for place, error in failed:
        message = job.messages[place]
        logger.error("outcomes cut", extra={"message_id": message.id}, exc_info=error)
        try:
            written = [_cut(outcome) for outcome in outcomes[place]]
            service.publish([written], _letters_of_cut(message, error))
        except OutcomesNotPublishedError:
            raise
        except Exception as hopeless:  # noqa: BLE001 - whatever it is, it harms this one only
            unpublished[place] = hopeless
    return unpublished


def _cut(outcome: Outcome) -> Outcome:
    """Return what can be written of an outcome, whatever it holds: what it says, not of what."""
    error = outcome.error
    if error:
        said = printable(error.message, MAX_ERROR_CHARACTERS) or error.error
        error = Problem.of(error.status_code, said)
    return replace(
        outcome,
        id=printable(outcome.id),
        status=printable(outcome.status),
        message_id=printable(outcome.message_id),
        account_id=None,
        event_type=None,
        created_at=None,
        completed_at=None,
        failed_at=None,
        payload=UNSET,
        error=error,
    )


def _letters_of_cut(message: Message, error: Exception) -> list[DeadLetter]:
    reason = f"its outcome cannot be written: {type(error).__name__}"
    raws = [raw_of(update) for update in message.updates]
    return [
        DeadLetter(printable(message.id), reason, printable(raw, len(raw)) or "", {}, index)
        for index, raw in enumerate(raws)
    ]
