"""The guarded update, built once and pure.

Two statements in one transaction settle a batch of any size, each with a
constant number of bind parameters:

1. `settle_pending_events` locks the batch's pending rows in id order, so that
   overlapping batches never deadlock, and updates what it locked. Of several
   settlements of one event the first in the batch wins.
2. `read_events` reads the rows the first one did not return. It is a statement
   of its own because under READ COMMITTED that gives it a new snapshot, which
   sees what a concurrent winner has just committed. Joining the two would
   report a row as pending that another batch has settled meanwhile.

Settled rows are only read, never locked: a lock is a write.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, and_, any_, bindparam, case, func, or_, select, update
from sqlalchemy.dialects.postgresql import array, distinct_on

from db.arrays import TextArray
from db.models import EventModel

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.sql.dml import ReturningUpdate

PENDING = and_(EventModel.completed_at.is_(None), EventModel.failed_at.is_(None))


@cache
def settle_pending_events(*, with_payload: bool, of_accounts: bool = False) -> ReturningUpdate[Any]:
    """Build the UPDATE that settles the pending events of a batch.

    Args:
        with_payload: Return the payload column as well.
        of_accounts: Pass over events that are not of the accounts in one more
            array parameter, `accounts`.

    Returns:
        A statement with four array parameters of equal length, in the order of
        the batch: `event_ids`, `statuses`, `account_ids` (NULL for any account)
        and `message_ids`. It returns the rows it settled.
    """
    batch = (
        func.unnest(
            *(
                bindparam(name, type_=TextArray)
                for name in ("event_ids", "statuses", "account_ids", "message_ids")
            )
        )
        .table_valued("id", "status", "account_id", "message_id", with_ordinality="position")
        .render_derived(name="batch")
    )
    pending = (
        select(EventModel.id, batch.c.status, batch.c.message_id, batch.c.position)
        .join(batch, _by_id(batch.c.id))
        .where(PENDING)
        .where(or_(batch.c.account_id.is_(None), batch.c.account_id == EventModel.account_id))
        .where(*_guards(of_accounts=of_accounts))
        .order_by(batch.c.id.collate("C"))
        .with_for_update(key_share=True, of=EventModel)
        .cte("pending")
    )
    first = (
        select(pending.c.id, pending.c.status, pending.c.message_id)
        .ext(distinct_on(pending.c.id))
        .order_by(pending.c.id, pending.c.position)
        .subquery("first")
    )
    return (
        update(EventModel)
        .values(
            completed_at=case((first.c.status == "completed", func.now())),
            failed_at=case((first.c.status == "failed", func.now())),
            settled_by=first.c.message_id,
        )
        .where(_by_id(first.c.id))
        .where(PENDING)
        .returning(*event_columns(with_payload=with_payload))
    )


@cache
def read_events(*, with_payload: bool, of_accounts: bool = False) -> Select[Any]:
    """Build the SELECT of the events whose ids are in the array parameter `event_ids`.

    Args:
        with_payload: Return the payload column as well.
        of_accounts: As for `settle_pending_events`.
    """
    ids = bindparam("event_ids", type_=TextArray)
    of_ids = EventModel.id == any_(ids)
    return select(*event_columns(with_payload=with_payload)).where(
        of_ids, *_guards(of_accounts=of_accounts)
    )


@cache
def read_settlers() -> Select[str, str | None]:
    """Build the SELECT of who settled the events whose ids are in the array `event_ids`.

    It locks the rows in id order, as settling does, and so waits for who settles them now.
    """
    ids = bindparam("event_ids", type_=TextArray)
    columns = select(EventModel.id, EventModel.settled_by).where(EventModel.id == any_(ids))
    return columns.order_by(EventModel.id.collate("C")).with_for_update(read=True)


def _by_id(id_: ColumnElement[str]) -> ColumnElement[bool]:
    """Build what finds an event by an id of another table, and in no other way.

    By `=` a batch may also be looked for in all events, as the index has them: as it is where the
    server believes that there are none, for there were none when it looked. An array cannot be
    merged with, so what is in order is no use; `db.database.BY_ID` forbids the rest.
    """
    return EventModel.id == any_(array([id_]))


def _guards(*, of_accounts: bool) -> list[ColumnElement[bool]]:
    accounts = bindparam("accounts", type_=TextArray)
    # A condition that no index has: all events of an account are not to be looked through.
    is_theirs = (EventModel.account_id == any_(accounts)).is_(True)
    return [is_theirs] if of_accounts else []


def event_columns(*, with_payload: bool) -> list[ColumnElement[Any]]:
    """Return the columns of an `EventRow`, in its order."""
    names = ["id", "account_id", "event_type", "created_at", "completed_at", "failed_at"]
    names.append("settled_by")
    columns: list[ColumnElement[Any]] = [getattr(EventModel, name) for name in names]
    # As text, to be passed on: not everything that PostgreSQL holds can be made of Python's types.
    return [*columns, EventModel.payload.cast(Text)] if with_payload else columns
