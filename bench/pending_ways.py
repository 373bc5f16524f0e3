"""Ways to find pending events, for `bench.pending`: how each is made, kept and asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from db.listing import PENDING as LISTED
from db.migrate import migrate
from db.models import PendingEventModel
from db.statements import settle_pending_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from sqlalchemy import Connection

    from db import Database, Settlement

    Arrays = dict[str, list[str | None]]

PENDING = "completed_at IS NULL AND failed_at IS NULL"
COLUMNS = "e.id, e.account_id, e.event_type, e.created_at, e.completed_at, e.failed_at, e.payload"
TIDY = """
DELETE FROM pending_events AS p USING events AS e WHERE e.id = p.id AND e.completed_at IS NOT NULL
"""
ARRAYS = ("event_ids", "statuses", "account_ids", "message_ids")


class Way:
    """No help at all: events are looked through."""

    name = "none"
    page = (
        f"SELECT {COLUMNS} FROM events AS e WHERE account_id = 'acct_1' "  # noqa: S608 - constants
        f"AND created_at > %s AND {PENDING} ORDER BY created_at, id LIMIT %s"
    )
    size = "0"
    creates = True
    # Of `origin` triggers fire, of `replica` they do not.
    role = "origin"
    # Whether batches can be settled with it and without it by turns.
    by_turns = True

    @property
    def without(self) -> Way:
        """Return how events are settled without it while it is there."""
        return Way()

    def set_up(self, connection: psycopg.Connection, url: str) -> None:
        """Make what is needed, with what there is."""

    def tidy(self, connection: psycopg.Connection) -> None:
        """Take out what was settled without it."""

    def tear_down(self, connection: psycopg.Connection) -> None:
        """Remove it."""

    def settle(self, database: Database, batch: Sequence[Settlement]) -> None:
        """Settle a batch: by the statement that the service does it with."""
        arrays = dict(zip(ARRAYS, map(list, zip(*batch, strict=True)), strict=True))
        with database.engine.begin() as transaction:
            transaction.exec_driver_sql(f"SET LOCAL session_replication_role = {self.role}")
            self.apply(transaction, arrays)

    def apply(self, transaction: Connection, arrays: Arrays) -> None:
        """Settle the events that arrays name."""
        transaction.execute(settle_pending_events(with_payload=False), arrays).all()


class Index(Way):
    """An index of all events, in the order of lists: those that are settled are passed over."""

    name = "index, filtered"
    predicate = ""
    by_turns = False
    size = "pg_relation_size('events_way')"

    def set_up(self, connection: psycopg.Connection, url: str) -> None:
        """Create it."""
        columns = f"CREATE INDEX events_way ON events (account_id, created_at, id){self.predicate}"
        connection.execute(columns.encode())

    def tear_down(self, connection: psycopg.Connection) -> None:
        """Drop it."""
        connection.execute("DROP INDEX events_way")


class PartialIndex(Index):
    """An index of the pending ones alone, which settling has to write to."""

    name = "partial index"
    predicate = f" WHERE {PENDING}"


class Triggers(Way):
    """A table of the pending ones, kept by triggers: as the migrations have it."""

    name = "side table, triggers"
    page = (
        f"SELECT {COLUMNS} FROM {LISTED} WHERE p.account_id = 'acct_1' "  # noqa: S608
        "AND p.created_at > %s ORDER BY p.created_at, p.id LIMIT %s"
    )
    size = "pg_total_relation_size('pending_events')"

    def set_up(self, connection: psycopg.Connection, url: str) -> None:
        """Migrate, but for the indexes of other lists."""
        migrate(url)
        connection.execute(b"DROP INDEX events_by_account, events_by_time")

    @property
    def without(self) -> Way:
        """Return how events are settled while triggers do not fire."""
        return Silent()

    def tidy(self, connection: psycopg.Connection) -> None:
        """Take out what was settled while it was not followed."""
        connection.execute(TIDY.encode())

    def tear_down(self, connection: psycopg.Connection) -> None:
        """Undo it."""
        connection.execute("DROP TABLE pending_events")
        connection.execute("DROP FUNCTION follow_pending_events CASCADE")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")


class Silent(Way):
    """No trigger fires, and nothing is taken out."""

    role = "replica"


class Statement(Triggers):
    """The same table, with what is settled taken out by the very statement that settles it."""

    name = "side table, same statement"

    def set_up(self, connection: psycopg.Connection, url: str) -> None:
        """Migrate, and do without the trigger on updates."""
        super().set_up(connection, url)
        connection.execute("DROP TRIGGER events_pending_update ON events")

    @property
    def without(self) -> Way:
        """Return how events are settled without taking them out."""
        return Way()

    def apply(self, transaction: Connection, arrays: Arrays) -> None:
        """Settle the events that arrays name, and take them out."""
        settled = settle_pending_events(with_payload=False).cte("settled")
        gone = delete(PendingEventModel).where(
            PendingEventModel.account_id == settled.c.account_id,
            PendingEventModel.created_at == settled.c.created_at,
            PendingEventModel.id == settled.c.id,
        )
        both = select(settled).add_cte(gone.cte("gone"))
        transaction.execute(both, arrays).all()


STATES = """
ALTER TABLE events RENAME TO events_settled;
ALTER TABLE events_settled ADD COLUMN is_pending boolean NOT NULL DEFAULT false;
CREATE TABLE events_open (LIKE events_settled INCLUDING DEFAULTS) WITH (fillfactor = 45);
WITH gone AS (
  DELETE FROM events_settled WHERE completed_at IS NULL AND failed_at IS NULL RETURNING *)
INSERT INTO events_open SELECT * FROM gone;
UPDATE events_open SET is_pending = true;
ALTER TABLE events_settled DROP CONSTRAINT events_pkey;
ALTER TABLE events_settled ADD PRIMARY KEY (id, is_pending);
ALTER TABLE events_open ADD PRIMARY KEY (id, is_pending);
CREATE INDEX events_open_list ON events_open (account_id, created_at, id);
CREATE TABLE events (LIKE events_settled, PRIMARY KEY (id, is_pending))
  PARTITION BY LIST (is_pending);
ALTER TABLE events ATTACH PARTITION events_settled FOR VALUES IN (false);
ALTER TABLE events ATTACH PARTITION events_open FOR VALUES IN (true);
"""
MOVE = """
UPDATE events SET completed_at = CASE WHEN b.status = 'completed' THEN now() END,
  failed_at = CASE WHEN b.status = 'failed' THEN now() END,
  settled_by = b.message, is_pending = false
FROM unnest(%(event_ids)s::text[], %(statuses)s::text[], %(message_ids)s::text[])
  AS b (id, status, message)
WHERE events.id = b.id AND is_pending RETURNING events.id
"""


class States(Way):
    """A partition of pending events: settling one moves it. An id is unique in each alone."""

    name = "partitions by state"
    by_turns = False
    page = Way.page.replace(PENDING, "is_pending")
    size = "pg_relation_size('events_open_list')"
    # There is no constraint that creating could rely on.
    creates = False

    def set_up(self, connection: psycopg.Connection, url: str) -> None:
        """Split the table; this cannot be undone."""
        connection.execute(STATES.encode())

    def apply(self, transaction: Connection, arrays: Arrays) -> None:
        """Settle the events that arrays name, with no more care than the speed of it needs."""
        transaction.exec_driver_sql(MOVE, arrays).all()


WAYS = (Way(), Index(), PartialIndex(), Statement(), Triggers(), States())
