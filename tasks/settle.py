"""A batch, settled: updates in, exactly one outcome for each out, in order.

The same function serves every door. What an update is told is read off the
event's row as committed, never off the update's own success, so a redelivered
message gets the answer it got the first time. Publishing is somebody else's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import UNSET, Raw, UnsetType

from db import BadDataError, EventRow, Settlement
from settle_client.outcome import Outcome, Problem, Reason, encode_json
from settle_client.update import StatusUpdate
from tasks.errors import OutcomesMissingError
from tasks.messages import InvalidUpdate, Message, Update
from tasks.publishing import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Events(Protocol):
    """What settling needs of the database: see `db.Database`."""

    def settle_pending_events(
        self, settlements: Sequence[Settlement], *, with_payload: bool = False
    ) -> Mapping[str, EventRow]:
        """Settle those events of a batch that are pending and return all that exist."""
        ...


def settle_batch(
    messages: Sequence[Message], events: Events, *, with_payload: bool = False
) -> list[list[Outcome]]:
    """Apply a batch with one guarded update and answer each of its updates.

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
    settlements = [
        _settlement(message, update)
        for message in messages
        for update in message.updates
        if isinstance(update, StatusUpdate)
    ]
    rows, refused = _settle_isolating_bad_data(settlements, events, with_payload=with_payload)
    outcomes = [_answers(message, rows, refused, with_payload=with_payload) for message in messages]
    _check_all_in_all_out(messages, outcomes)
    return outcomes


def dead_letters(
    messages: Sequence[Message],
    outcomes: Sequence[Sequence[Outcome]],
    deliveries: Sequence[dict[str, Any]],
) -> list[DeadLetter]:
    """Make a dead letter of each update of a batch that was not valid.

    Args:
        messages: As they were settled.
        outcomes: A list for each message with one for each of its updates, in order.
        deliveries: How each message came, in JSON types.
    """
    return [
        DeadLetter(message.id, outcome.error.message, _raw(update), delivery, outcome.index)
        for message, answers, delivery in zip(messages, outcomes, deliveries, strict=True)
        for update, outcome in zip(message.updates, answers, strict=True)
        if outcome.error
    ]


def _raw(update: Update) -> str:
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


def _settle_isolating_bad_data(
    settlements: Sequence[Settlement], events: Events, *, with_payload: bool
) -> tuple[dict[str, EventRow], dict[Settlement, str]]:
    """Halve a batch that the database refuses until what it refuses stands alone."""
    try:
        return dict(events.settle_pending_events(settlements, with_payload=with_payload)), {}
    except BadDataError as error:
        if len(settlements) == 1:
            return {}, {settlements[0]: str(error)}
    middle = len(settlements) // 2
    rows: dict[str, EventRow] = {}
    refused: dict[Settlement, str] = {}
    for half in (settlements[:middle], settlements[middle:]):
        half_rows, half_refused = _settle_isolating_bad_data(
            half, events, with_payload=with_payload
        )
        rows |= half_rows
        refused |= half_refused
    return rows, refused


def _answers(
    message: Message,
    rows: Mapping[str, EventRow],
    refused: Mapping[Settlement, str],
    *,
    with_payload: bool,
) -> list[Outcome]:
    outcomes = []
    for index, update in enumerate(message.updates):
        known = (message.id, update.id, update.status)
        if isinstance(update, InvalidUpdate):
            answer = invalid(*known, update.error, index=index, with_payload=with_payload)
        elif refused and (error := refused.get(_settlement(message, update))):
            answer = invalid(*known, error, index=index, with_payload=with_payload)
        else:
            row = rows.get(update.id)
            answer = outcome_of(message.id, update, row, index=index, with_payload=with_payload)
        outcomes.append(answer)
    return outcomes


def outcome_of(
    message_id: str | None,
    update: StatusUpdate,
    row: EventRow | None,
    *,
    index: int = 0,
    with_payload: bool = False,
) -> Outcome:
    """Return the outcome of an update, read off the event's row as committed.

    Args:
        message_id: Of the message that carried the update.
        update: A valid update.
        row: The event, or None if there is none of that id.
        index: The update's position in its message.
        with_payload: Put the event's payload into the outcome.
    """
    if row is None or update.account_id not in (None, row.account_id):
        return _outcome(
            message_id, update.id, update.status, "not_found", None, index, with_payload
        )
    updated = row.settled_by == message_id and row.status == update.status
    reason = None if updated else _reason(row)
    return _outcome(message_id, update.id, update.status, reason, row, index, with_payload)


def _reason(row: EventRow) -> Reason:
    return "already_completed" if row.status == "completed" else "already_failed"


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
