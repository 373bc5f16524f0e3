"""A replica of the database: a standby that follows it, read from where the past will do.

What it shows is a state that the database was in, a moment ago. It is asked each time
how far it is, in the session that then reads: an address may lead to several, and what was a
replica may stand alone since, and show the same for ever.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from db.database import BY_ID, Database
from db.engine import make_engine
from db.errors import TransientDatabaseError, translate_error
from db.lag import Lag
from db.listing import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy

# How far they are: bytes of the log since its beginning.
REPLAYED = "SELECT pg_is_in_recovery(), (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint"
WRITTEN = "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint"
# All that lists read, and none of it: for the rights.
LISTED = """
SELECT p.account_id, p.created_at, p.id, e.id, e.account_id, e.event_type, e.created_at,
  e.completed_at, e.failed_at, e.settled_by, e.payload
FROM pending_events AS p, events AS e LIMIT 0
"""
# Connections of one process at most, to the replica; the primary has one more.
POOL_SIZE = 5
# Of a question that takes no time.
LOOK_TIMEOUT_SECONDS = 3
NO_REPLICA = "it takes writes, so it is no replica, or none any more"
SAYS_NOTHING = "it does not say how far it has followed its primary"
NOT_OF_THIS = "it has what the primary has not, so it does not follow it"


class Replica:
    """A replica of one PostgreSQL database, for one process."""

    def __init__(
        self,
        url: str,
        primary_url: str,
        *,
        max_lag_seconds: float,
    ) -> None:
        """Prepare pools; nothing is connected yet.

        Args:
            url: See `db.engine.engine_url`.
            primary_url: The database that it is to follow.
            max_lag_seconds: By how much it may be behind.
        """
        self._max_lag_seconds = max_lag_seconds
        self._lag = Lag(max_lag_seconds)
        # How far it was when it was looked at last, and whether the primary had that.
        self._seen, self._follows = 0, True
        self._engine = make_engine(
            url,
            application_name="settle",
            statement_timeout_seconds=TIMEOUT_SECONDS,
            lock_timeout_seconds=TIMEOUT_SECONDS,
            planning=BY_ID,
            pool_size=POOL_SIZE,
            max_overflow=0,
        )
        self._primary = Database(
            primary_url,
            pool_size=1,
            statement_timeout_seconds=LOOK_TIMEOUT_SECONDS,
            lock_timeout_seconds=LOOK_TIMEOUT_SECONDS,
        )

    @contextmanager
    def reading(self) -> Iterator[sqlalchemy.Connection]:
        """Give a connection to read with: what it shows is not too old.

        Raises:
            TransientDatabaseError: Also where it is too far behind, or is no replica.
            DatabaseError: See `db.errors`.
        """
        try:
            with self._engine.connect() as connection:
                self._check_lag(self._replayed(connection))
                yield connection
        except SQLAlchemyError as error:
            raise translate_error(error) from error

    def look(self) -> float:
        """Look whether lists can be read, and how far it is; see `note_primary`.

        Returns:
            By how many seconds the replica is behind at most.

        Raises:
            DatabaseError: As when it is read.
        """
        try:
            with self._engine.connect() as connection:
                self._seen = self._replayed(connection)
                connection.exec_driver_sql(LISTED)
        except SQLAlchemyError as error:
            raise translate_error(error) from error
        if not self._follows:
            raise TransientDatabaseError(NOT_OF_THIS)
        return self._check_lag(self._seen)

    def note_primary(self) -> None:
        """Note how far the primary is, which is to be done every second or so.

        Raises:
            DatabaseError: The primary is away, which says nothing about the replica.
        """
        seen, asked = self._seen, time.monotonic()
        with self._primary.reading() as connection:
            written = int(connection.exec_driver_sql(WRITTEN).scalar_one())
        self._follows = self._lag.note(seen, written, asked)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()
        self._primary.close()

    def _replayed(self, connection: sqlalchemy.Connection) -> int:
        in_recovery, replayed = connection.exec_driver_sql(REPLAYED).one()
        if not in_recovery:
            # The others lead there too; the address may lead elsewhere by now.
            connection.invalidate()
            self._engine.dispose()
            error = TransientDatabaseError(NO_REPLICA)
            error.connection_was_lost = True
            raise error
        if replayed is None:
            raise TransientDatabaseError(SAYS_NOTHING)
        return int(replayed)

    def _check_lag(self, replayed: int) -> float:
        seconds = self._lag.seconds(replayed, time.monotonic())
        if seconds > self._max_lag_seconds:
            most = f"{self._max_lag_seconds:g} s"
            raise TransientDatabaseError(f"it is not known to be less than {most} behind")
        return seconds
