"""What is read, whatever it is: reading a row never fails on what is in it.

PostgreSQL knows the years 4713 BC to 294276, and infinity, where Python's `datetime`
has the years 1 to 9999. Such a time is passed on as the text that PostgreSQL has
written: when an event was made is no reason not to settle it. So it is with text in a
database of the encoding SQL_ASCII, which has never looked at what it keeps.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from psycopg.adapt import Loader

if TYPE_CHECKING:
    import psycopg
    from psycopg.abc import Buffer


def register_loaders(connection: psycopg.Connection[tuple[bool, ...]]) -> None:
    """Let a connection read what there is; its DateStyle is ISO."""
    connection.adapters.register_loader("timestamptz", MomentLoader)
    if not keeps_characters(connection.info):
        connection.adapters.register_loader("text", UncheckedTextLoader)


def keeps_characters(server: psycopg.ConnectionInfo) -> bool:
    """Return whether text in a database is of an encoding, and not any bytes."""
    return server.parameter_status("server_encoding") != "SQL_ASCII"


class MomentLoader(Loader):
    """Reads a point in time."""

    def load(self, data: Buffer) -> datetime | str:
        """Read one value."""
        text = bytes(data).decode()
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return text


class UncheckedTextLoader(Loader):
    """Reads text that may be of another encoding."""

    def load(self, data: Buffer) -> str:
        """Read one value."""
        return bytes(data).decode(errors="replace")
