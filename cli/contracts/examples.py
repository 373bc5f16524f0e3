"""Examples that can be executed: with these events in the table, a request gets this answer.

Each example begins with `EVENTS` as they stand here. The answers and the errors are
made by the code that makes the real ones, so they cannot say anything else; only
the times at which events are settled differ.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from db import Created, EventRow
from service.settings import Settings
from settle_client.checking import check_all
from settle_client.moments import timestamp
from settle_client.outcome import Problem
from settle_client.update import StatusUpdate
from tasks.errors import NotUnderstoodError
from tasks.events import Event
from tasks.messages import InvalidUpdate, decode_body, validate
from tasks.new_events import CreatedEvent
from tasks.requests import understand_request
from tasks.settle import invalid, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from db.rows import Status

MAX_UPDATES: int = Settings.model_fields["message_max_updates"].default

CREATED = datetime(2026, 11, 23, 9, tzinfo=UTC)
SETTLED = datetime(2026, 11, 23, 9, 0, 1, 123456, tzinfo=UTC)
MESSAGE_ID = "5f0c9a52-6a5b-4f0e-9d5c-2f6f1b0d7a11"


def _pending(id_: str, total: int) -> EventRow:
    payload = json.dumps({"total": total})
    return EventRow(id_, "acct_9", "order.created", timestamp(CREATED), None, None, None, payload)


def _settled(row: EventRow, status: Status, message_id: str) -> EventRow:
    return row._replace(
        completed_at=timestamp(SETTLED) if status == "completed" else None,
        failed_at=timestamp(SETTLED) if status == "failed" else None,
        settled_by=message_id,
    )


EVENTS = {
    row.id: row
    for row in (
        _pending("ev_1", 1250),
        _pending("ev_2", 400),
        _settled(_pending("ev_3", 9900), "completed", "earlier"),
        _settled(_pending("ev_4", 75), "failed", "earlier"),
    )
}


def _shown(row: EventRow) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(Event.from_row(row).to_json())
    return shown


class Exchange(NamedTuple):
    """A request that is valid, and what it is answered."""

    summary: str
    updates: list[dict[str, Any]]
    message_id: str
    outcomes: list[dict[str, Any]]


class Refusal(NamedTuple):
    """A body that is not valid, as it is sent, and why."""

    summary: str
    body: str
    message: str


def _exchange(
    summary: str, message_id: str, updates: list[dict[str, Any]], **settled: Status
) -> Exchange:
    after = EVENTS | {id_: _settled(EVENTS[id_], to, message_id) for id_, to in settled.items()}
    valid = check_all(updates)
    outcomes = [
        outcome_of(message_id, one, after.get(one.id), index=index, with_payload=True)
        for index, one in enumerate(valid)
    ]
    return Exchange(summary, updates, message_id, [outcome.to_dict() for outcome in outcomes])


COMPLETE = {"id": "ev_1", "status": "completed"}
FAIL = {"id": "ev_2", "status": "failed", "accountId": "acct_9"}
UNKNOWN_STATUS = {"id": "ev_2", "status": "done"}
WITHOUT_ID = {"status": "completed"}
NOT_JSON = "ev_1 completed"

EXCHANGES = {
    "oneUpdate": _exchange("One update", "billing-1", [COMPLETE], ev_1="completed"),
    "severalUpdates": _exchange(
        "Several updates, answered in their order",
        "billing-2",
        [
            COMPLETE,
            FAIL,
            {"id": "ev_3", "status": "completed"},
            {"id": "ev_4", "status": "completed"},
            {"id": "ev_404", "status": "completed"},
        ],
        ev_1="completed",
        ev_2="failed",
    ),
    "wholeEvent": _exchange(
        "The whole event: what says nothing about its status is ignored",
        "billing-3",
        [_shown(EVENTS["ev_2"]) | {"status": "failed"}],
        ev_2="failed",
    ),
    "anotherAccount": _exchange(
        "An event of another account is not found",
        "billing-4",
        [COMPLETE | {"accountId": "acct_1"}],
    ),
    "sameEventTwice": _exchange(
        "Of two updates of one event the first wins",
        "billing-5",
        [COMPLETE, {"id": "ev_1", "status": "failed"}],
        ev_1="completed",
    ),
}


def _refused(understand: Callable[[], Any]) -> str:
    try:
        understand()
    except NotUnderstoodError as error:
        return str(error)
    raise AssertionError(understand)


def _request_refused(body: str) -> str:
    return _refused(lambda: understand_request(body.encode(), max_updates=MAX_UPDATES))


def field_error(update: Any) -> str:
    """Return what is said of an update that is not valid."""
    checked = validate(update)
    return checked.error if isinstance(checked, InvalidUpdate) else ""


REFUSALS = {
    name: Refusal(summary, body, _request_refused(body))
    for name, (summary, body) in {
        "nothing": ("Nothing", ""),
        "null": ("null", "null"),
        "notJson": ("Not JSON", NOT_JSON),
        "notAnArray": ("Not an array", json.dumps(COMPLETE)),
        "emptyArray": ("No update", "[]"),
        "unknownStatus": (
            "There is no such status; nothing is applied, not the first update either",
            json.dumps([COMPLETE, UNKNOWN_STATUS]),
        ),
        "missingId": ("An update of no event", json.dumps([WITHOUT_ID])),
    }.items()
}


def problem(status_code: int, message: str) -> dict[str, Any]:
    """Return an error as HTTP clients get it."""
    body: dict[str, Any] = msgspec.to_builtins(Problem.of(status_code, message))
    return body


def event(id_: str) -> dict[str, Any]:
    """Return one of the events as HTTP clients get it."""
    return _shown(EVENTS[id_])


NEW_EVENT = {
    "id": "ev_5",
    "accountId": "acct_9",
    "eventType": "order.created",
    "payload": {"total": 300},
    "createdAt": "2026-11-23T09:00:00Z",
}
TAKEN_ID = {**NEW_EVENT, "id": "ev_2", "payload": {"total": 1}}


def created_events() -> list[dict[str, Any]]:
    """Return what becomes of one that is new, one that is there, and one whose id is taken."""
    new = _pending("ev_5", 300)
    rows = {"ev_5": Created(new, is_new=True), "ev_1": Created(EVENTS["ev_1"], is_new=False)}
    rows["ev_2"] = Created(None, is_new=False)
    return [json.loads(CreatedEvent.of(id_, row).to_json()) for id_, row in rows.items()]


def outcomes() -> list[dict[str, Any]]:
    """Return an outcome of each kind, as the result channel has them."""
    update = StatusUpdate(id="ev_1", status="completed")
    row = EVENTS["ev_1"]
    outcomes = [
        outcome_of(MESSAGE_ID, update, _settled(row, "completed", MESSAGE_ID)),
        outcome_of(MESSAGE_ID, update, _settled(row, "completed", "earlier")),
        outcome_of(MESSAGE_ID, update, _settled(row, "failed", "earlier")),
        outcome_of(MESSAGE_ID, update, None),
        outcome_of(MESSAGE_ID, update, row, refusal="P0001: the period is closed"),
        invalid(MESSAGE_ID, "ev_2", "done", field_error(UNKNOWN_STATUS)),
        invalid(MESSAGE_ID, None, None, _refused(lambda: decode_body(NOT_JSON))),
    ]
    return [outcome.to_dict() for outcome in outcomes]
