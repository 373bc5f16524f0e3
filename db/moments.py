"""Points in time as they are read: whatever PostgreSQL holds, and Python does not.

PostgreSQL knows the years 4713 BC to 294276, and infinity, where Python's `datetime`
has the years 1 to 9999. Such a time is passed on as the text that PostgreSQL has
written: to whom the event is of use, it is none of our business when it was made.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from psycopg.adapt import Loader

if TYPE_CHECKING:
    from psycopg.abc import Buffer


class MomentLoader(Loader):
    """Reads `timestamptz`, of a session whose DateStyle is ISO."""

    def load(self, data: Buffer) -> datetime | str:
        """Read one value."""
        return read_moment(bytes(data).decode())


def read_moment(text: str) -> datetime | str:
    """Read a point in time with its offset from UTC, or leave it as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment if moment.tzinfo else text
