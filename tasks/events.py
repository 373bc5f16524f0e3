"""An event as outsiders see it, made of its row.

The row knows more, such as which message settled the event; that stays inside.
Reading the row is `db`'s, and settling it is in `tasks.settle`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from msgspec import Raw

import settle_client.event

if TYPE_CHECKING:
    from db import EventRow


class Event(settle_client.event.Event, frozen=True):
    """An event, pending or settled."""

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
