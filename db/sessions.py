"""What a session of ours is like, whoever has set up the server, the database or the role.

All that our statements and our reading depend on is set for every session, and nothing
else: what remains (the search path, whether transactions are read-only, how a commit is
made durable) is the operator's to say.

A pooler such as PgBouncer, in transaction mode, lends a session for the length of a
transaction. What is set or prepared in it stays there for somebody else. So every new
connection finds out whether the session is its own, in the round trip that also sets it
up if it is. If not, it is set up in every transaction, and nothing is prepared.

Nothing has to be configured for that, at the pooler or here. A pooler that lends a
session for the length of a connection is treated the same.

A session that is of no use any more, although its connection is good, is dropped: see
`drop_if_a_new_one_may_do`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from db.loaders import keeps_characters, register_loaders

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg
    import sqlalchemy
    from sqlalchemy.pool import ConnectionPoolEntry

PINNED = {
    # Times are read as ISO 8601. Those that Python cannot hold are passed on as they
    # are written, so that their zone is seen outside.
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    # An array's NULL, of an update for any account, is no account named NULL.
    "array_nulls": "on",
    # A backslash in a literal of ours is one.
    "standard_conforming_strings": "on",
    # That a commit did not wait for its standby to the end is a warning.
    "client_min_messages": "warning",
}
# A batch has two statements, each with a timeout of its own.
PINNED_SINCE = {170_000: {"transaction_timeout": "0"}}
# Where a database keeps bytes for text, it would be refused to be read.
UNCHECKED = {"client_encoding": "SQL_ASCII"}
# Unlike the others it must be known when a connection begins. Every pooler takes it.
STARTUP = {"client_encoding": "utf8"}

# A connection is given a process id, to send cancel requests with. A pooler must find the
# right session for those itself, and gives each client an id that it made up. There
# the settings are local: those of this statement's own transaction, and gone with it.
IS_OWN = "pg_backend_pid() = %(pid)s"
SET_IF_OWN = "set_config('{name}', %({name})s, pg_backend_pid() <> %(pid)s)"
POOLED = "settle_pooled"
# Set once the server has warned that a commit did not wait for its standby to the end. The
# warning has no code of its own.
WAIT_CANCELLED = "settle_wait_cancelled"
WAITS_IN = "SyncRepWaitForLSN"

# After these another session, perhaps with another server, may do at once: a failover
# that left this one open, a server that goes or is not there yet; what was prepared has
# been dropped, or is another's.
LOST = ("08", "25006", "57P", "26000", "42P05")
# What was prepared returns something else since the table was changed. PostgreSQL has no
# code for that alone.
CHANGED_PLAN = ("0A000", "RevalidateCachedQuery")
# After these an operator must act. New sessions alone have the search path that is then
# set, and nothing of what an internal error has left.
STALE = ("42P01", "3F000", "XX")


def set_up_sessions(engine: sqlalchemy.Engine, settings: Mapping[str, str]) -> None:
    """See to every session of an engine.

    Args:
        engine: Nothing is connected yet.
        settings: Those that are to hold besides `PINNED`.
    """
    event.listen(engine, "connect", partial(_set_up, {**PINNED, **settings}))
    event.listen(engine, "begin", _set_if_pooled)
    event.listen(engine, "handle_error", drop_if_a_new_one_may_do)


def is_pooled(connection: sqlalchemy.Connection) -> bool:
    """Return whether there is a pooler between this process and PostgreSQL."""
    return bool(connection.info[POOLED])


def drop_if_a_new_one_may_do(context: sqlalchemy.ExceptionContext) -> None:
    """Drop a session that would answer for ever as it does.

    It is dropped without a rollback: a pooler then drops the server's session too.
    """
    error = context.original_exception
    sqlstate: str = getattr(error, "sqlstate", None) or ""
    routine = getattr(getattr(error, "diag", None), "source_function", None)
    if sqlstate.startswith(LOST) or (sqlstate, routine) == CHANGED_PLAN:
        # The others of the pool are no better: all are opened anew.
        context.is_disconnect = True
    elif sqlstate.startswith(STALE) and context.connection is not None:
        context.connection.invalidate()


def _set_up(
    settings: Mapping[str, str],
    connection: psycopg.Connection[tuple[bool, ...]],
    entry: ConnectionPoolEntry,
) -> None:
    register_loaders(connection)
    connection.add_notice_handler(partial(_note_cancelled_wait, entry.info))
    wanted = {**settings, **_pinned_here(connection.info)}
    pooled = not _set_if_own(connection, wanted)
    # Parameters cannot be bound in SET; these are words and numbers of ours.
    entry.info[POOLED] = pooled and "; ".join(
        f"SET LOCAL {name} = '{value}'" for name, value in wanted.items()
    )
    if pooled:
        connection.prepare_threshold = None


def _note_cancelled_wait(info: dict[str, Any], notice: psycopg.errors.Diagnostic) -> None:
    if notice.source_function == WAITS_IN:
        info[WAIT_CANCELLED] = True


def _pinned_here(server: psycopg.ConnectionInfo) -> dict[str, str]:
    """Return what is to be set because of what the server or its database is."""
    pinned = {} if keeps_characters(server) else UNCHECKED
    for version, more in PINNED_SINCE.items():
        if server.server_version >= version:
            pinned = {**pinned, **more}
    return pinned


def _set_if_own(
    connection: psycopg.Connection[tuple[bool, ...]], settings: Mapping[str, str]
) -> bool:
    """Set a session up, unless it is lent; return whether it is not."""
    question = ", ".join([IS_OWN, *(SET_IF_OWN.format(name=name) for name in settings)])
    parameters = {**settings, "pid": connection.info.backend_pid}
    try:
        connection.autocommit = True
        row = connection.execute(f"SELECT {question}".encode(), parameters).fetchone()
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return bool(row and row[0])


def _set_if_pooled(connection: sqlalchemy.Connection) -> None:
    if settings := connection.info[POOLED]:
        connection.exec_driver_sql(settings)
