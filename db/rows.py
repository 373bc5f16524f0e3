"""What goes into our statements and what comes out of them.

Plain frozen values: a `Settlement` asks for one event to be settled, a `Creation` for
one to be made, an `EventRow` is that event afterwards. They carry no behaviour beyond
naming a row's status, and no trace of SQLAlchemy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

Status = Literal["completed", "failed"]


class Settlement(NamedTuple):
    """One event to settle, if it is pending and of the given account.

    `account_id` of None means the event may be of any account.
    """

    event_id: str
    status: Status
    account_id: str | None
    message_id: str

    def applies_to(self, row: EventRow | None) -> bool:
        """Return whether the event is pending and of the account asked for."""
        if row is None or row.status is not None:
            return False
        return self.account_id in (None, row.account_id)


class Creation(NamedTuple):
    """One event to create, pending.

    `payload` is JSON text. A `created_at` of None means now.
    """

    id: str
    account_id: str
    event_type: str
    payload: str
    created_at: datetime | None = None


class EventRow(NamedTuple):
    """An event as committed, or as another transaction committed it before.

    `payload` is JSON text, where it was read. Times are texts: see `db.loaders`.
    """

    id: str
    account_id: str
    event_type: str
    created_at: str
    completed_at: str | None
    failed_at: str | None
    settled_by: str | None
    payload: str | None = None

    @property
    def status(self) -> Status | None:
        """Return what the event was settled to, or None while it is pending."""
        if self.completed_at is not None:
            return "completed"
        return "failed" if self.failed_at is not None else None


class Rows(dict[str, EventRow]):
    """The events of a batch, by id, and how many of them this very batch settled."""

    changed = 0


class Created(NamedTuple):
    """What became of a `Creation`.

    `row` is the event as committed, None where an event of its id has other content.
    `is_new` says whether it was this creation that made it.
    """

    row: EventRow | None
    is_new: bool
