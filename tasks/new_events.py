"""Events to create, as they come in over HTTP or from a file: taken as a whole or not at all.

The form is that of the event as it is shown, so what was read can be sent. What becomes
of each is a `CreatedEvent`. Creating them is `db`'s.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

import settle_client.event
from db import Creation
from settle_client.checking import explain_text
from settle_client.outcome import Problem
from settle_client.update import Identifier
from tasks.errors import NotUnderstoodError

if TYPE_CHECKING:
    from db import Created

MAX_EVENTS = 1_000
OTHER_CONTENT = (
    "an event of this id is there already, with other content, or of an account that is not "
    "yours: choose another id"
)
PLACE = re.compile(r"(.*) - at `\$(.*)`")
_EXPECTED = "it must be an array: [{id, accountId, eventType, payload}, …]"
_OBJECT = {"type": "object"}


class NewEvent(msgspec.Struct, frozen=True, rename="camel"):
    """An event to create, pending. Its other attributes may come with it and are ignored."""

    id: Annotated[Identifier, Meta(description="Which event it is.", examples=["ev_1"])]
    account_id: Annotated[Identifier, Meta(description="Whose event it is.", examples=["acct_9"])]
    event_type: Annotated[
        Identifier, Meta(description="What happened.", examples=["order.created"])
    ]
    payload: Annotated[
        Raw | UnsetType,
        Meta(
            description="An object. Left out: an empty one.",
            examples=[{"total": 1250}],
            extra_json_schema=_OBJECT,
        ),
    ] = UNSET
    created_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(description="When it was created. Left out: now."),
    ] = None
    completed_at: Annotated[None, Meta(description="An event is created pending.")] = None
    failed_at: Annotated[None, Meta(description="An event is created pending.")] = None

    def as_creation(self) -> Creation:
        """Return what the database is to create."""
        payload = self.payload_text.decode()
        return Creation(self.id, self.account_id, self.event_type, payload, self.created_at)

    @property
    def payload_text(self) -> bytes:
        """Return the payload as JSON."""
        return b"{}" if self.payload is UNSET else bytes(self.payload)


class CreatedEvent(settle_client.event.CreatedEvent, frozen=True):
    """What became of an event to create: the event as it is now, or why it is not there."""

    @classmethod
    def of(cls, id_: str, created: Created) -> Self:
        """Say what became of the event of an id."""
        row = created.row
        if row is None:
            nothing = (None,) * 6
            return cls(id_, False, *nothing, error=Problem.of(409, OTHER_CONTENT))
        return cls(
            id_,
            created.is_new,
            row.account_id,
            row.event_type,
            row.created_at,
            row.completed_at,
            row.failed_at,
            Raw(row.payload or "null"),
        )


_decode = msgspec.json.Decoder(list[NewEvent]).decode


def understand_new_events(body: bytes) -> list[NewEvent]:
    """Understand the body of a request as events to create.

    Args:
        body: JSON, `[{"id": …, "accountId": …, "eventType": …, "payload": {…}}, …]`.

    Raises:
        NotUnderstoodError: Something in it is not valid; the text names the element
            and the field.
    """
    if not body.strip():
        raise NotUnderstoodError(f"the body is empty: {_EXPECTED}")
    try:
        events = _decode(body)
    except msgspec.ValidationError as error:
        raise NotUnderstoodError(_explain(str(error))) from None
    except (ValueError, RecursionError) as error:
        raise NotUnderstoodError(f"the body is not JSON: {error}") from None
    if not 1 <= len(events) <= MAX_EVENTS:
        raise NotUnderstoodError(
            f"a request creates 1 to {MAX_EVENTS:,} events, this one {len(events):,}"
        )
    for number, event in enumerate(events):
        if fault := _find_fault(event):
            raise NotUnderstoodError(f"[{number}].{fault}")
    return events


def _find_fault(event: NewEvent) -> str | None:
    texts = {"id": event.id, "accountId": event.account_id, "eventType": event.event_type}
    for name, text in texts.items():
        if fault := explain_text(text):
            return f"{name}: {fault}"
    if event.payload_text[:1] != b"{":
        return "payload: must be an object"
    return None


def _explain(said: str) -> str:
    """Say it with the place first, as of all that is not valid."""
    found = PLACE.fullmatch(said)
    if found is None:
        return f"the body is not as it should be ({said}): {_EXPECTED}"
    what = found[1].replace("Object missing required field", "is without the required field")
    return f"{found[2].lstrip('.')}: {what[:1].lower()}{what[1:]}"
