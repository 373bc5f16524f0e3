"""A batch, settled: updates in, exactly one outcome for each out, in order.

The same function serves every door. What an update is told is read off the
event's row as committed, never off the update's own success, so a redelivered
message gets the answer it got the first time. Publishing is somebody else's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import UNSET, Raw, UnsetType

from db import DatabaseError, EventRow, Settlement
from settle_client.outcome import Outcome, Problem, Reason, encode_json
from settle_client.update import StatusUpdate
from tasks.applying import Applied, Events, apply
from tasks.errors import OutcomesMissingError
from tasks.messages import InvalidUpdate, Message, Update
from tasks.publishing import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.rows import Status

# Of what the database says of a row: whoever owns a trigger may say anything.
MAX_REFUSAL_CHARACTERS = 1_000
ALREADY: dict[Status, Reason] = {"completed": "already_completed", "failed": "already_failed"}
KEPT_PENDING = "the database keeps the event pending, and does not say why: a trigger or a policy"


class Settled(NamedTuple):
    """What became of a batch.

    Attributes:
        outcomes: A list for each message with an outcome for each of its updates, in
            order. Empty for a message that is in doubt.
        changed: How many events this batch has settled.
        doubtful: The messages in doubt, by their position, and what failed: an update of
            theirs was refused, and so was everything else, which may be nobody's fault.
    """

    outcomes: list[list[Outcome]]
    changed: int
    doubtful: dict[int, Exception]


def settle_batch(
    messages: Sequence[Message], events: Events, *, with_payload: bool = False
) -> list[list[Outcome]]:
    """Apply a batch with one guarded update and answer each of its updates, also if alone.

    Args:
        messages: In the order in which they arrived.
        events: Where to apply them.
        with_payload: Put the event's payload into the outcomes.

    Returns:
        A list for each message with an outcome for each of its updates.

    Raises:
        DatabaseError: Nothing was applied, or it is not known whether it was;
            settling the same batch again is safe.
    """
    return settle(messages, events, with_payload=with_payload, others_succeed=True).outcomes


def settle(
    messages: Sequence[Message],
    events: Events,
    *,
    with_payload: bool = False,
    others_succeed: bool = False,
) -> Settled:
    """Apply a batch with one guarded update and answer each of its updates, if it can be.

    Args:
        messages: In the order in which they arrived.
        events: Where to apply them.
        with_payload: Put the event's payload into the outcomes.
        others_succeed: Whether others are known to have had events settled meanwhile, so
            that what the database refuses is to blame for it.

    Raises:
        DatabaseError: See `settle_batch`.
    """
    settlements = [
        _settlement(message, update)
        for message in messages
        for update in message.updates
        if isinstance(update, StatusUpdate)
    ]
    parted = len(messages) > 1
    applied = apply(settlements, events, with_payload=with_payload, may_be_parted=parted)
    outcomes = [_answers(message, applied, with_payload=with_payload) for message in messages]
    _check_all_in_all_out(messages, outcomes)
    doubtful = {} if others_succeed or applied.changed else _refused_in(outcomes)
    for position in doubtful:
        outcomes[position] = []
    return Settled(outcomes, applied.changed, doubtful)


def _refused_in(outcomes: Sequence[Sequence[Outcome]]) -> dict[int, Exception]:
    """Return the positions of the messages that carry what was refused, and what was said."""
    said: dict[int, Exception] = {}
    for position, answers in enumerate(outcomes):
        for answer in answers:
            if answer.reason == "refused" and answer.error:
                said.setdefault(position, DatabaseError(answer.error.message))
    return said


def dead_letters(
    messages: Sequence[Message],
    outcomes: Sequence[Sequence[Outcome]],
    deliveries: Sequence[dict[str, Any]],
) -> list[DeadLetter]:
    """Make a dead letter of each update of a batch that was not valid, or refused.

    Args:
        messages: As they were settled.
        outcomes: A list for each message with one for each of its updates, in order.
        deliveries: How each message came, in JSON types.
    """
    return [
        DeadLetter(message.id, outcome.error.message, raw_of(update), delivery, outcome.index)
        for message, answers, delivery in zip(messages, outcomes, deliveries, strict=True)
        for update, outcome in zip(message.updates, answers, strict=True)
        if outcome.error
    ]


def raw_of(update: Update) -> str:
    """Return an update as it was received, or as it would be sent, for its dead letter."""
    return update.raw if isinstance(update, InvalidUpdate) else encode_json(update).decode()


def _settlement(message: Message, update: StatusUpdate) -> Settlement:
    # Only a message that was not understood has no id, and it has no valid update.
    return Settlement(update.id, update.status, update.account_id, message.id or "")


def _check_all_in_all_out(
    messages: Sequence[Message], outcomes: Sequence[Sequence[Outcome]]
) -> None:
    asked = [len(message.updates) for message in messages]
    if asked != [len(answers) for answers in outcomes]:
        raise OutcomesMissingError


def _answers(message: Message, applied: Applied, *, with_payload: bool) -> list[Outcome]:
    failed = bool(applied.invalid or applied.refused)
    outcomes = []
    for index, update in enumerate(message.updates):
        error, refusal = "", ""
        if isinstance(update, InvalidUpdate):
            error = update.error
        elif failed:
            settlement = _settlement(message, update)
            error = applied.invalid.get(settlement, "")
            refusal = str(applied.refused.get(settlement, ""))
        known = message.id, update.id, update.status
        if error or isinstance(update, InvalidUpdate):
            answer = invalid(*known, error, index=index, with_payload=with_payload)
        else:
            row = applied.rows.get(update.id)
            answer = outcome_of(
                message.id, update, row, index=index, with_payload=with_payload, refusal=refusal
            )
        outcomes.append(answer)
    return outcomes


def outcome_of(
    message_id: str | None,
    update: StatusUpdate,
    row: EventRow | None,
    *,
    index: int = 0,
    with_payload: bool = False,
    refusal: str = "",
) -> Outcome:
    """Return the outcome of an update, read off the event's row as committed.

    Args:
        message_id: Of the message that carried the update.
        update: A valid update.
        row: The event, or None if there is none of that id.
        index: The update's position in its message.
        with_payload: Put the event's payload into the outcome.
        refusal: What the database said, if it did, of an event that is still pending.
    """
    known = message_id, update.id, update.status
    if row is None or update.account_id not in (None, row.account_id):
        return _outcome(*known, "not_found", None, index, with_payload)
    status = row.status
    if status is None:
        problem = Problem.of(409, refusal[:MAX_REFUSAL_CHARACTERS] or KEPT_PENDING)
        return _outcome(*known, "refused", row, index, with_payload, problem)
    updated = row.settled_by == message_id and status == update.status
    reason = None if updated else ALREADY[status]
    return _outcome(*known, reason, row, index, with_payload)


def invalid(
    message_id: str | None,
    id_: str | None,
    status: str | None,
    error: str,
    *,
    index: int = 0,
    with_payload: bool = False,
) -> Outcome:
    """Return the outcome of an update, or with no id a whole message, that is not valid."""
    problem = Problem.of(400, error)
    return _outcome(message_id, id_, status, "invalid", None, index, with_payload, problem)


def _outcome(
    message_id: str | None,
    id_: str | None,
    status: str | None,
    reason: Reason | None,
    row: EventRow | None,
    index: int,
    with_payload: bool,
    error: Problem | UnsetType = UNSET,
) -> Outcome:
    """Write an outcome; the event's attributes are null where there is no row of it."""
    payload: Any = UNSET
    if with_payload:
        payload = Raw(row.payload or "null") if row else None
    return Outcome(
        id=id_,
        updated=reason is None,
        status=status,
        reason=reason,
        message_id=message_id,
        index=index,
        account_id=row and row.account_id,
        event_type=row and row.event_type,
        created_at=row and row.created_at,
        completed_at=row and row.completed_at,
        failed_at=row and row.failed_at,
        payload=payload,
        error=error,
    )
