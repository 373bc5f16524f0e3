"""What is read, whatever it is: reading a row never fails on what is in it.

Nobody here reckons with times: they go on as text, to be told outside, and a text is made
of the text that PostgreSQL writes: by way of Python's `datetime` it took three times as long.
PostgreSQL knows the years 4713 BC to 294276, and infinity, where RFC 3339 has the years 0
to 9999. Such a time is passed on as PostgreSQL has written it: when an event was made is no
reason not to settle it. So it is with text in a database of the encoding SQL_ASCII, which
has never looked at what it keeps.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from psycopg.adapt import Loader

if TYPE_CHECKING:
    import psycopg
    from psycopg.abc import Buffer

# As sessions of ours have it written (`db.sessions.PINNED`), of a year that RFC 3339 has.
NEAR = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00")


def register_loaders(connection: psycopg.Connection[tuple[bool, ...]]) -> None:
    """Let a connection read what there is; its DateStyle is ISO."""
    connection.adapters.register_loader("timestamptz", MomentLoader)
    if not keeps_characters(connection.info):
        connection.adapters.register_loader("text", UncheckedTextLoader)


def keeps_characters(server: psycopg.ConnectionInfo) -> bool:
    """Return whether text in a database is of an encoding, and not any bytes."""
    return server.parameter_status("server_encoding") != "SQL_ASCII"


class MomentLoader(Loader):
    """Reads a point in time as RFC 3339 has it, in UTC and with microseconds."""

    def load(self, data: Buffer) -> str:
        """Read one value."""
        return _moment(bytes(data))


# A batch has one time of completion, and events come in bursts.
@lru_cache(maxsize=4_096)
def _moment(data: bytes) -> str:
    text = data.decode()
    if found := NEAR.fullmatch(text):
        date, time, fraction = found.groups()
        return f"{date}T{time}.{fraction or '':0<6}Z"
    return _of_another_zone(text)


def _of_another_zone(text: str) -> str:
    """Write a time as others are, of a transaction in which somebody's trigger has set a zone."""
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return text
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


class UncheckedTextLoader(Loader):
    """Reads text that may be of another encoding."""

    def load(self, data: Buffer) -> str:
        """Read one value."""
        return bytes(data).decode(errors="replace")
