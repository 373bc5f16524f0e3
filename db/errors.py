"""What can go wrong with a whole batch, classed by what to do next.

An unknown or already settled event is no error: it is an outcome. The driver's
own exception is kept as `__cause__`.
"""

from __future__ import annotations

import sqlalchemy.exc

# SQLSTATE classes and codes: connection trouble, resources, shutdown,
# read-only standby, serialization, deadlock, lock timeout.
TRANSIENT = ("08", "53", "57", "25006", "40001", "40P01", "55P03")
# Statement timeout, lock timeout: perhaps for the sake of one row.
TOO_LONG = ("57014", "55P03")
# A value that PostgreSQL refuses, or a constraint that it would break.
BAD_DATA = ("22", "23")
NOT_ALLOWED = "42501"
# It may be told of each update of a batch.
MAX_REASON_CHARACTERS = 1_000


class DatabaseError(Exception):
    """The database did not apply the batch, for a reason an operator must remove."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class TransientDatabaseError(DatabaseError):
    """The database could not apply the batch just now; the same batch may succeed later."""

    # Perhaps after it was applied. Another connection may be as good as ever.
    connection_was_lost = False
    # Such as where a row is locked: the others of the batch may be as good as ever.
    took_too_long = False


class BadDataError(DatabaseError):
    """The database refuses a value in the batch; it will refuse it again."""


class NotAllowedError(DatabaseError):
    """The role lacks a privilege."""


def translate_error(error: sqlalchemy.exc.SQLAlchemyError) -> DatabaseError:
    """Return the error of this package that says what to do about the driver's error.

    Args:
        error: What SQLAlchemy raised while connecting or executing.
    """
    driver_error = getattr(error, "orig", None)
    sqlstate: str = getattr(driver_error, "sqlstate", None) or ""
    # The first line only: the rest of a driver's message may quote values.
    reason = str(driver_error or error).strip().partition("\n")[0][:MAX_REASON_CHARACTERS]
    classed = _class_of(error, sqlstate)(f"{sqlstate}: {reason}" if sqlstate else reason)
    if isinstance(classed, TransientDatabaseError):
        classed.connection_was_lost = getattr(error, "connection_invalidated", False)
        classed.took_too_long = sqlstate in TOO_LONG
    return classed


def _class_of(error: sqlalchemy.exc.SQLAlchemyError, sqlstate: str) -> type[DatabaseError]:
    if getattr(error, "connection_invalidated", False) or sqlstate.startswith(TRANSIENT):
        return TransientDatabaseError
    if sqlstate.startswith(BAD_DATA):
        return BadDataError
    if sqlstate == NOT_ALLOWED:
        return NotAllowedError
    if not sqlstate:
        # The driver itself spoke: no connection to be had, or a value that
        # cannot be sent.
        if isinstance(error, sqlalchemy.exc.OperationalError | sqlalchemy.exc.TimeoutError):
            return TransientDatabaseError
        if isinstance(error, sqlalchemy.exc.DataError):
            return BadDataError
    return DatabaseError
