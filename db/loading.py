"""Pending events, loaded in bulk and removed again: for the demo, tests and benchmarks.

Upstream services insert events in their own way; nothing in the service itself
comes through here.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from db.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

COPY = "COPY events (id, account_id, event_type, payload, created_at) FROM STDIN"


class NewEvent(NamedTuple):
    """An event that is pending."""

    id: str
    account_id: str
    event_type: str = "order.created"
    payload: Mapping[str, object] = {}


def load_events(database_url: str, events: Iterable[NewEvent]) -> int:
    """Insert pending events, all or none.

    Args:
        database_url: `postgresql://…`, as libpq understands it.
        events: Their ids must be new.

    Returns:
        How many there were.

    Raises:
        DatabaseError: None is inserted, and why.
    """
    now = datetime.now(UTC)
    count = 0
    with _connect(database_url) as connection, connection.cursor() as cursor:
        with cursor.copy(COPY) as copy:
            for count, event in enumerate(events, start=1):  # noqa: B007 - the last one counts
                copy.write_row((*event[:3], Jsonb(dict(event.payload)), now))
        # The planner must know that the table is not empty any more.
        cursor.execute("ANALYZE events")
    return count


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
