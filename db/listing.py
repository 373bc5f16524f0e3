"""Events, listed: oldest first, by pages or from one on, of all accounts or of some.

Those that are pending are found in `pending_events`, where they are in order, and the
others by their indexes (docs/adr/0019-listing-pending-events.md). Of each account as many
are read as fit on the page, and of these the oldest; so a page costs as much whatever was
settled before it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from sqlalchemy import Text, bindparam, text

from db.arrays import TextArray
from db.rows import EventRow

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import BindParameter, Connection, TextClause

State = Literal["pending", "completed", "failed"]
# After which a list is given up: one that passes over millions of events is for nobody to wait for.
TIMEOUT_SECONDS = 5
# Sessions plan each list anew (`db.database.BY_ID`): it goes along an index until the page is
# full, and what it finds is never sorted, whatever a planner believes of how much that is.
PLANNED = "; ".join(
    f"SET LOCAL {name} = {value}"
    for name, value in {
        "enable_bitmapscan": "off",
        "enable_sort": "off",
        "statement_timeout": TIMEOUT_SECONDS * 1_000,
    }.items()
)
# Each looked at by itself, in their order: a planner that joins them believes that few match,
# and reads all of both. OFFSET keeps it from that.
PENDING = """
pending_events AS p CROSS JOIN LATERAL (
  SELECT * FROM events AS e
  WHERE e.id = p.id AND e.account_id = p.account_id AND e.created_at = p.created_at
    AND e.completed_at IS NULL AND e.failed_at IS NULL OFFSET 0) AS e
"""
CONDITIONS = {
    "event_type": "e.event_type = :event_type",
    "created_after": "{place}.created_at > :created_after",
    "created_before": "{place}.created_at < :created_before",
    "after": "({place}.created_at, {place}.id) > "
    "(CAST(:after_created_at AS timestamptz), :after_id)",
}
FOUND = """
SELECT e.id, e.account_id, e.event_type, e.created_at, e.completed_at, e.failed_at, e.settled_by,
  e.payload
FROM {source} {where} ORDER BY {{place}}.created_at, {{place}}.id LIMIT :most
"""
OF_EACH = """
SELECT found.* FROM unnest(:accounts) AS account (id) CROSS JOIN LATERAL ({found}) AS found
"""
# The place of an event is the text of its time: not every time is one of Python's.
PAGE = """
SELECT id, account_id, event_type, created_at, completed_at, failed_at, settled_by,
  CAST(payload AS text) AS payload, CAST(created_at AS text) AS place
FROM ({page}) AS page ORDER BY created_at, id OFFSET :skip LIMIT :limit
"""


class Readable(Protocol):
    """Where events are: a `Database`, or a `Replica` of it."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection to read with."""
        ...


class ListPosition(NamedTuple):
    """A place in the order of lists: that of an event, as it is written."""

    created_at: str
    id: str


class Listing(NamedTuple):
    """What is to be listed; None where it does not matter.

    `accounts` are those whose events there are. `after` is the place of an event that is
    before the first of the list, `skip` the number of events to leave out from there.
    """

    limit: int
    skip: int = 0
    state: State | None = None
    event_type: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    accounts: Collection[str] | None = None
    after: ListPosition | None = None


class Listed(NamedTuple):
    """A page of events, and the place of its last if there are more."""

    rows: list[EventRow]
    last: ListPosition | None


def list_events(database: Readable, listing: Listing) -> Listed:
    """Read a page, with payloads.

    Raises:
        BadDataError: A value is no such thing to the database.
        NotAllowedError: The role may not read `pending_events`.
        TransientDatabaseError: Also where what it says may be too old, or it takes too long.
        DatabaseError: See `db.errors`.
    """
    given = {name for name, value in listing._asdict().items() if value is not None}
    statement = _select(listing.state, frozenset(given))
    with database.reading() as connection:
        connection.exec_driver_sql(PLANNED)
        found = connection.execute(statement, _parameters(listing)).all()
    rows = [EventRow(*row) for *row, _ in found[: listing.limit]]
    last = ListPosition(found[len(rows) - 1][-1], rows[-1].id) if len(found) > len(rows) else None
    return Listed(rows, last)


def _parameters(listing: Listing) -> dict[str, Any]:
    parameters = {name: value for name, value in listing._asdict().items() if value is not None}
    # One more than asked for, to know whether there are more.
    parameters |= {"limit": listing.limit + 1, "most": listing.skip + listing.limit + 1}
    if parameters.pop("after", None):
        place = listing.after
        parameters |= {
            "after_created_at": place and place.created_at,
            "after_id": place and place.id,
        }
    return parameters


@cache
def _select(state: State | None, given: frozenset[str]) -> TextClause:
    """Build the SELECT of a list, with the conditions that are given."""
    is_pending = state == "pending"
    place = "p" if is_pending else "e"
    conditions = [text for name, text in CONDITIONS.items() if name in given]
    if state is not None and not is_pending:
        conditions.append(f"e.{state}_at IS NOT NULL")
    if "accounts" in given:
        conditions.append("{place}.account_id = account.id")
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    found = FOUND.format(source=PENDING if is_pending else "events AS e", where=where)
    found = found.replace("{place}", place)
    types: list[BindParameter[Any]] = [
        bindparam(name, type_=type_)
        for name, type_ in {"accounts": TextArray, "event_type": Text, "after_id": Text}.items()
        if name.removesuffix("_id") in given
    ]
    page = OF_EACH.format(found=found) if "accounts" in given else found
    return text(PAGE.format(page=page)).bindparams(*types)
