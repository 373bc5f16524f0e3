"""The operation as a tutorial has it: `uvicorn bench.peers.tutorial_endpoint:app`.

FastAPI and SQLAlchemy 2, one event at a time: `session.get`, is it pending, set the
attributes, `commit`, `refresh`. That is `PATCH /v2/api/events/batch`. The same under
`/v2/api/events/batch/one-commit` commits once a request and reads nothing back, which is
what somebody would do next.

It does less than the gateway: nothing is published, a repeated request is not
recognised, and two requests at once may both settle an event, for nothing is locked.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator  # noqa: TC003 - FastAPI reads it
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Body, Depends, FastAPI
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from db.engine import engine_url
from db.models import EventModel

# A connection for each of FastAPI's 40 threads, should all be at work.
engine = create_engine(engine_url(os.environ["DATABASE_URL"]), pool_size=40)
app = FastAPI()


class UpdateIn(BaseModel):
    """A request to settle one event."""

    model_config = ConfigDict(alias_generator=to_camel)

    id: str
    status: Literal["completed", "failed"]
    account_id: str | None = None


class OutcomeOut(BaseModel):
    """What became of it."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)

    id: str
    updated: bool
    status: str
    reason: str | None
    message_id: str
    account_id: str | None = None
    event_type: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    payload: dict[str, Any] | None = None


def get_session() -> Iterator[Session]:
    """Return a session for one request."""
    with Session(engine) as session:
        yield session


SessionOfRequest = Annotated[Session, Depends(get_session)]
Updates = Annotated[list[UpdateIn], Body(min_length=1, max_length=1_000)]


@app.patch("/v2/api/events/batch")
def settle(updates: Updates, session: SessionOfRequest) -> list[OutcomeOut]:
    """Settle events, each in a transaction of its own."""
    message_id = str(uuid.uuid4())
    outcomes = []
    for update in updates:
        event = session.get(EventModel, update.id)
        reason = why_not(event, update)
        if event and not reason:
            set_status(event, update, message_id)
            session.commit()
            session.refresh(event)
        outcomes.append(outcome_of(event, update, message_id, reason))
    return outcomes


@app.patch("/v2/api/events/batch/one-commit")
def settle_together(updates: Updates, session: SessionOfRequest) -> list[OutcomeOut]:
    """Settle events in one transaction."""
    message_id = str(uuid.uuid4())
    outcomes = []
    with session.no_autoflush:
        for update in updates:
            event = session.get(EventModel, update.id)
            reason = why_not(event, update)
            if event and not reason:
                set_status(event, update, message_id)
            outcomes.append(outcome_of(event, update, message_id, reason))
    session.commit()
    return outcomes


def why_not(event: EventModel | None, update: UpdateIn) -> str | None:
    """Return why an event cannot be settled, None if it can."""
    if event is None or update.account_id not in (None, event.account_id):
        return "not_found"
    if event.completed_at:
        return "already_completed"
    return "already_failed" if event.failed_at else None


def set_status(event: EventModel, update: UpdateIn, message_id: str) -> None:
    """Settle a pending event."""
    now = datetime.now(UTC)
    event.completed_at = now if update.status == "completed" else None
    event.failed_at = now if update.status == "failed" else None
    event.settled_by = message_id


def outcome_of(
    event: EventModel | None, update: UpdateIn, message_id: str, reason: str | None
) -> OutcomeOut:
    """Return the outcome of an update."""
    outcome = OutcomeOut(
        id=update.id,
        updated=reason is None,
        status=update.status,
        reason=reason,
        message_id=message_id,
    )
    if event is None or reason == "not_found":
        return outcome
    return outcome.model_copy(
        update={
            "account_id": event.account_id,
            "event_type": event.event_type,
            "created_at": event.created_at,
            "completed_at": event.completed_at,
            "failed_at": event.failed_at,
            "payload": event.payload,
        }
    )
