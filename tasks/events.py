"""An event as outsiders see it: the attributes that are documented, in their order.

The row knows more, such as which message settled the event; that stays inside.
Reading the row is `db`'s, and settling it is in `tasks.settle`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

import msgspec
from msgspec import Meta, Raw

from settle_client.moments import Moment, with_timestamps
from settle_client.outcome import encode_json

if TYPE_CHECKING:
    from db import EventRow


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """An event, pending or settled."""

    account_id: Annotated[str, Meta(description="Whose event it is.", examples=["acct_9"])]
    completed_at: Annotated[Moment | None, Meta(description="When it was completed, if it was.")]
    created_at: Annotated[Moment, Meta(description="When it was created.")]
    event_type: Annotated[str, Meta(description="What happened.", examples=["order.created"])]
    failed_at: Annotated[Moment | None, Meta(description="When it failed, if it did.")]
    id: Annotated[str, Meta(description="Which event it is.", examples=["ev_1"])]
    payload: Annotated[
        Any, Meta(description="What its producer put into it.", examples=[{"total": 1250}])
    ]

    @classmethod
    def from_row(cls, row: EventRow) -> Self:
        """Show a row that was read with its payload."""
        return cls(
            row.account_id,
            row.completed_at,
            row.created_at,
            row.event_type,
            row.failed_at,
            row.id,
            Raw(row.payload or "null"),
        )

    def to_json(self) -> bytes:
        """Write it as the JSON object that clients get, its times as an outcome has them."""
        return encode_json(_with_timestamps(self))


_with_timestamps = with_timestamps(Event)
