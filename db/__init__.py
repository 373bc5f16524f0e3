"""The events table and the guarded update: PostgreSQL, and nothing else.

This package knows no Celery, no Redis and no messages. Callers hand it
`Settlement` values and get back the rows as they stand afterwards.
"""

from db.database import Database
from db.errors import BadDataError, DatabaseError, NotAllowedError, TransientDatabaseError
from db.rows import Created, Creation, EventRow, Rows, Settlement

__all__ = [
    "BadDataError",
    "Created",
    "Creation",
    "Database",
    "DatabaseError",
    "EventRow",
    "NotAllowedError",
    "Rows",
    "Settlement",
    "TransientDatabaseError",
]
