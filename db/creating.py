"""Pending events, created: once for each id, however often they are asked for.

One INSERT makes all that are new, in id order, so that overlapping creations never
deadlock. What was there already is compared by a second statement, whose snapshot sees
who was faster. Events are also inserted by others, in their own way; see docs/postgresql.md.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime, and_, bindparam, cast, func, or_, select
from sqlalchemy.dialects.postgresql import JSONB, insert

from db.arrays import TextArray
from db.errors import TransientDatabaseError
from db.models import EventModel
from db.rows import Created, EventRow
from db.statements import event_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import sqlalchemy
    from sqlalchemy import Select
    from sqlalchemy.sql.dml import ReturningInsert

    from db.rows import Creation

COLUMNS = ("id", "account_id", "event_type", "payload", "created_at")
DELETED = "an event is not there: it was deleted meanwhile, or a trigger or a policy is in the way"


def create_events(
    connection: sqlalchemy.Connection, creations: Sequence[Creation]
) -> list[Created]:
    """Create those events that are not there; what is there stays as it is.

    Args:
        connection: In a transaction, which the caller commits.
        creations: Of one id the first is created, and the others compared with it.

    Returns:
        What became of each, in their order.

    Raises:
        TransientDatabaseError: An event is neither new nor there; it may be tried again.
        sqlalchemy.exc.SQLAlchemyError: See `db.errors.translate_error`.
    """
    made = connection.execute(insert_new(), _arrays(creations))
    new = {row[0]: EventRow(*row) for row in made.all()}
    created: list[Created | None] = []
    for creation in creations:
        row = new.pop(creation.id, None)
        created.append(row and Created(row, is_new=True))
    others = [creation for creation, made in zip(creations, created, strict=True) if made is None]
    there = _compare(connection, others) if others else iter(())
    return [next(there) if one is None else one for one in created]


def _compare(connection: sqlalchemy.Connection, creations: Sequence[Creation]) -> Iterator[Created]:
    compared = connection.execute(read_compared(), _arrays(creations)).all()
    if len(compared) != len(creations):
        raise TransientDatabaseError(DELETED)
    for *row, is_same in compared:
        yield Created(EventRow(*row) if is_same else None, is_new=False)


@cache
def insert_new() -> ReturningInsert[Any]:
    """Build the INSERT of events whose ids are not there, which returns those it made.

    Returns:
        A statement with an array parameter for each of `COLUMNS`, all of text.
    """
    batch = _batch()
    values = [
        batch.c.id,
        batch.c.account_id,
        batch.c.event_type,
        cast(batch.c.payload, JSONB),
        func.coalesce(cast(batch.c.created_at, DateTime(timezone=True)), func.now()),
    ]
    new = select(*values).order_by(batch.c.id.collate("C"), batch.c.position)
    return (
        insert(EventModel)
        .from_select(list(COLUMNS), new)
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(*event_columns(with_payload=True))
    )


@cache
def read_compared() -> Select[Any]:
    """Build the SELECT of events that are there, each with whether its content is as given."""
    batch = _batch()
    is_same = and_(
        EventModel.account_id == batch.c.account_id,
        EventModel.event_type == batch.c.event_type,
        EventModel.payload == cast(batch.c.payload, JSONB),
        or_(
            batch.c.created_at.is_(None),
            EventModel.created_at == cast(batch.c.created_at, DateTime(timezone=True)),
        ),
    )
    return (
        select(*event_columns(with_payload=True), is_same)
        .join(batch, batch.c.id == EventModel.id)
        .order_by(batch.c.position)
    )


def _batch() -> Any:
    return (
        func.unnest(*(bindparam(f"{name}s", type_=TextArray) for name in COLUMNS))
        .table_valued(*COLUMNS, with_ordinality="position")
        .render_derived(name="batch")
    )


def _arrays(creations: Sequence[Creation]) -> dict[str, list[str | None]]:
    columns = zip(*creations, strict=True)
    arrays = {f"{name}s": list(values) for name, values in zip(COLUMNS, columns, strict=True)}
    arrays["created_ats"] = [moment and moment.isoformat() for moment in arrays["created_ats"]]
    return arrays
