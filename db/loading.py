"""Pending events, loaded in bulk and removed again: for the demo, tests and benchmarks.

They are created as `POST /v2/api/events` creates them, see `db.creating`.
"""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from db.creating import create_events
from db.database import Database
from db.errors import DatabaseError, translate_error
from db.rows import Creation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# Events created by one statement.
TOGETHER = 1_000


class NewEvent(NamedTuple):
    """An event that is pending."""

    id: str
    account_id: str
    event_type: str = "order.created"
    payload: Mapping[str, object] = {}


def load_events(database_url: str, events: Iterable[NewEvent]) -> int:
    """Insert pending events, all or none.

    Args:
        database_url: See `db.engine.engine_url`.
        events: Those that are there already, with the same content, are left as they are.

    Returns:
        How many there were.

    Raises:
        DatabaseError: None is inserted, and why.
    """
    count, remaining = 0, iter(events)
    try:
        with closing(Database(database_url)) as database, database.engine.begin() as connection:
            while creations := [_creation(event) for event in islice(remaining, TOGETHER)]:
                for creation, made in zip(
                    creations, create_events(connection, creations), strict=True
                ):
                    if made.row is None:
                        raise DatabaseError(f"{creation.id} is there, with other content")
                count += len(creations)
            # The planner must know that the table is not empty any more.
            connection.exec_driver_sql("ANALYZE events")
    except SQLAlchemyError as error:
        raise translate_error(error) from error
    return count


def _creation(event: NewEvent) -> Creation:
    return Creation(event.id, event.account_id, event.event_type, json.dumps(dict(event.payload)))


def remove_events(database_url: str, ids: Sequence[str]) -> int:
    """Remove events, whatever became of them.

    Args:
        database_url: `postgresql://…`, as libpq understands it.
        ids: Those that are not there are left out.

    Returns:
        How many were there.

    Raises:
        DatabaseError: None is removed, and why.
    """
    with _connect(database_url) as connection:
        return connection.execute("DELETE FROM events WHERE id = ANY(%s)", [list(ids)]).rowcount


@contextmanager
def _connect(database_url: str) -> Iterator[psycopg.Connection]:
    try:
        with psycopg.connect(database_url) as connection:
            yield connection
    except psycopg.Error as error:
        raise DatabaseError(str(error).partition("\n")[0]) from error
