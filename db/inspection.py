"""What a database is like, as facts: for whoever judges whether the service can rely on it.

Reads catalogs and settings, with whatever role the service has, and changes
nothing. What is good or bad about a fact is for others to say, except where only
this package can: how the table differs from the model.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError

from db import inspection_queries
from db.engine import make_engine
from db.errors import translate_error
from db.facts import (
    PlaceFacts,
    PrivilegeFacts,
    SchemaFacts,
    ServerFacts,
    StandbyFacts,
    TableFacts,
    WaitingFacts,
)
from db.models import FILLFACTOR_PERCENT, TRIGGERS, EventModel
from db.sessions import is_pooled

if TYPE_CHECKING:
    from collections.abc import Iterator

STATEMENT_TIMEOUT_SECONDS = 5

TABLE = EventModel.__tablename__
COLUMNS = tuple(column.name for column in EventModel.__table__.columns)
SETTLED_COLUMNS = ("completed_at", "failed_at", "settled_by")

EXPECTED_FILLFACTOR_PERCENT = FILLFACTOR_PERCENT


@contextmanager
def inspect_database(url: str) -> Iterator[Inspection]:
    """Connect to a database to look at it.

    Raises:
        DatabaseError: It cannot be reached, or, inside the block, refuses to answer.
    """
    engine = make_engine(
        url,
        application_name="settle doctor",
        statement_timeout_seconds=STATEMENT_TIMEOUT_SECONDS,
        lock_timeout_seconds=STATEMENT_TIMEOUT_SECONDS,
        poolclass=sqlalchemy.NullPool,
    )
    try:
        with engine.connect() as connection:
            yield Inspection(connection)
    except SQLAlchemyError as error:
        raise translate_error(error) from error


class Inspection:
    """Asks a database, one question at a time."""

    def __init__(self, connection: sqlalchemy.Connection) -> None:
        self._connection = connection

    def _rows(self, question: str, **parameters: Any) -> list[Any]:
        try:
            # Each question by itself: one that is refused is not to spoil the next.
            with self._connection.begin():
                return list(self._connection.execute(text(question), parameters))
        except SQLAlchemyError as error:
            raise translate_error(error) from error

    def server(self) -> ServerFacts:
        """Describe the server."""
        (row,) = self._rows(inspection_queries.SERVER)
        version, number, in_recovery, read_only, fsync, synchronous_commit, encoding, free = row
        return ServerFacts(
            version=version,
            major_version=number // 10_000,
            in_recovery=in_recovery,
            read_only=read_only == "on",
            fsync=fsync == "on",
            synchronous_commit=synchronous_commit,
            sessions_free=free,
            pooled=is_pooled(self._connection),
            encoding=encoding,
        )

    def standbys(self) -> StandbyFacts:
        """Describe who follows the server."""
        (row,) = self._rows(inspection_queries.STANDBYS)
        names, waited_for, followers, synchronous, hidden = row
        return StandbyFacts(names, waited_for, followers, None if hidden else synchronous)

    def waiting(self) -> WaitingFacts:
        """Describe what commits wait for a standby."""
        return WaitingFacts(*self._rows(inspection_queries.COMMITS_WAITING)[0])

    def place(self) -> PlaceFacts:
        """Describe where the server is, next to another."""
        return PlaceFacts(*self._rows(inspection_queries.PLACE)[0])

    def missing_reads(self) -> tuple[str, ...]:
        """Return what the role may not read of what lists read."""
        rows = self._rows(inspection_queries.COLUMN_PRIVILEGES, table=TABLE, columns=list(COLUMNS))
        ((may_list,),) = self._rows(inspection_queries.MAY_LIST)
        missing = [f"SELECT ({name}) ON {TABLE}" for name, may_read, _ in rows if not may_read]
        return (*missing, *(() if may_list else ("SELECT ON pending_events",)))

    def clock_ahead_seconds(self) -> float:
        """Return by how much the server's clock is ahead of this machine's."""
        asked = time.time()
        ((server_time,),) = self._rows("SELECT extract(epoch FROM clock_timestamp())")
        return float(server_time) - (asked + time.time()) / 2

    def schema(self) -> SchemaFacts:
        """Return the migration that the schema is at."""
        ((may_read,),) = self._rows(inspection_queries.MAY_READ_REVISION)
        rows = self._rows("SELECT version_num FROM alembic_version") if may_read else []
        return SchemaFacts(rows[0][0] if rows else None, is_hidden=may_read is False)

    def table(self) -> TableFacts:
        """Describe the events table."""
        found = self._rows(inspection_queries.TABLE, table=TABLE)
        if not found:
            schemas = self._rows(inspection_queries.SCHEMAS_WITH, table=TABLE)
            return TableFacts(exists=False, hidden_in=tuple(name for (name,) in schemas))
        ((unlogged, fillfactor),) = found
        indexes = self._rows(
            inspection_queries.INDEXES_ON, table=TABLE, columns=list(SETTLED_COLUMNS)
        )
        return TableFacts(
            exists=True,
            differences=tuple(self._differences()),
            unlogged=unlogged,
            hindering_indexes=tuple(name for (name,) in indexes),
            fillfactor=fillfactor,
        )

    def _differences(self) -> Iterator[str]:
        there = {
            name: (kind, required)
            for name, kind, required in self._rows(inspection_queries.COLUMNS, table=TABLE)
        }
        for name, (kind, required) in _expected_columns().items():
            if name not in there:
                yield f"column {name} is missing"
            elif there[name] != (kind, required):
                yield f"column {name} should be {kind}{' NOT NULL' if required else ''}"
        constraints = dict(
            tuple(row) for row in self._rows(inspection_queries.CONSTRAINTS, table=TABLE)
        )
        for name in ("events_pkey", "events_settled_once"):
            if name not in constraints:
                yield f"constraint {name} is missing"
            elif not constraints[name]:
                yield f"constraint {name} is not validated"

    def missing_triggers(self) -> tuple[str, ...]:
        """Return which of the triggers that follow pending events are not there, or disabled."""
        there = {name for (name,) in self._rows(inspection_queries.TRIGGERS, table=TABLE)}
        return tuple(name for name in TRIGGERS if name not in there)

    def privileges(self) -> PrivilegeFacts:
        """Compare what the role may do with the events table with what it needs."""
        ((role, superuser, owner, filtered),) = self._rows(inspection_queries.ROLE, table=TABLE)
        rows = self._rows(inspection_queries.COLUMN_PRIVILEGES, table=TABLE, columns=list(COLUMNS))
        missing = [f"SELECT ({name})" for name, may_read, _ in rows if not may_read]
        may_update = [name for name, _, may_update in rows if may_update]
        missing += [f"UPDATE ({name})" for name in SETTLED_COLUMNS if name not in may_update]
        excess = [f"UPDATE ({name})" for name in may_update if name not in SETTLED_COLUMNS]
        excess += [name for (name,) in self._rows(inspection_queries.TABLE_PRIVILEGES, table=TABLE)]
        if superuser or owner:
            excess = ["is a superuser"] if superuser else ["owns the table"]
        return PrivilegeFacts(role, tuple(missing), tuple(excess), filtered)


@cache
def _expected_columns() -> dict[str, tuple[str, bool]]:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return {
        column.name: (column.type.compile(dialect).lower(), not column.nullable)
        for column in EventModel.__table__.columns
    }
