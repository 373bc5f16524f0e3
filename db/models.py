"""The events table, as SQLAlchemy sees it.

It is the source that Alembic compares migrations with. It holds no behaviour:
the statements that read and write it are in `db.statements`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Each event is settled exactly once, which writes one new version of its row.
# With more than half of every page free that version fits beside the old one,
# also when a page's events are all settled at once, so the update stays HOT: no
# index is touched. For the same reason no index, not even a partial one's
# predicate, may mention completed_at or failed_at.
FILLFACTOR_PERCENT = 45

# They keep `PendingEventModel`; migrations make them.
TRIGGERS = tuple(f"events_pending_{when}" for when in ("insert", "update", "delete", "truncate"))


class Base(DeclarativeBase):
    """The metadata that migrations are made from."""


class EventModel(Base):
    """Something that happened upstream and is pending, completed or failed.

    `settled_by` is the id of the message that settled the event. It is what
    lets a redelivered message be answered as it was the first time.
    """

    __tablename__ = "events"
    __table_args__ = (
        CheckConstraint("completed_at IS NULL OR failed_at IS NULL", name="events_settled_once"),
        Index("events_by_account", "account_id", "created_at", "id"),
        Index("events_by_time", "created_at", "id"),
        {"postgresql_with": {"fillfactor": FILLFACTOR_PERCENT}},
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    account_id: Mapped[str] = mapped_column(Text)
    event_type: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    completed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    failed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    settled_by: Mapped[str | None] = mapped_column(Text)


class PendingEventModel(Base):
    """Which events are pending, in the order in which they are listed.

    Triggers on the events table keep it. None that is pending is missing; one that is
    here may be settled, so it is read together with its event.
    """

    __tablename__ = "pending_events"
    __table_args__ = (Index("pending_events_by_time", "created_at", "id"),)

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
