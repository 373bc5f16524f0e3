"""The events table and the guarded update: PostgreSQL, and nothing else.

This package knows no Celery, no Redis and no messages. Callers hand it
`Settlement` values and get back the rows as they stand afterwards.
"""

from db.database import Database
from db.errors import BadDataError, DatabaseError, TransientDatabaseError
from db.rows import EventRow, Rows, Settlement

__all__ = [
    "BadDataError",
    "Database",
    "DatabaseError",
    "EventRow",
    "Rows",
    "Settlement",
    "TransientDatabaseError",
]
