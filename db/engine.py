"""The way to PostgreSQL, from a URL to an engine, straight or through a pooler.

A pooler such as PgBouncer, in transaction mode, lends a session for the length of a
transaction. What is set or prepared in it stays there for somebody else. So every new
connection finds out whether the session is its own, in the round trip that also sets its
timeouts if it is. If not, they are set in every transaction, and nothing is prepared.

Nothing has to be configured for that, at the pooler or here. A pooler that lends a
session for the length of a connection is treated the same.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg
    from sqlalchemy.pool import ConnectionPoolEntry

CONNECT_TIMEOUT_SECONDS = 5
# A dead link is noticed by the kernel, not by waiting for a statement timeout.
TCP_USER_TIMEOUT_MILLISECONDS = 15_000
DEFAULT_PORT = "5432"

HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:,/?#@\[\]]+)(?::(\d*))?")
SEVERAL_HOSTS = re.compile(
    rf"(?<=://)(?P<login>[^@]*@)?"
    rf"(?P<hosts>{HOST_AND_PORT.pattern}(?:,{HOST_AND_PORT.pattern})+)(?=[/?#]|$)"
)
LOGIN = re.compile(r"[^:]*://[^:/]*:[^@]*@")
VALUE = re.compile("=[^&]*")

# A connection is given a process id, to send cancel requests with. A pooler must find the
# right session for those itself, and gives each client an id that it made up. There
# the settings are local: those of this statement's own transaction, and gone with it.
SET_IF_OWN = """
SELECT pg_backend_pid() = %(pid)s,
  set_config('statement_timeout', %(statement_timeout)s, pg_backend_pid() <> %(pid)s),
  set_config('lock_timeout', %(lock_timeout)s, pg_backend_pid() <> %(pid)s),
  set_config('plan_cache_mode', %(plan_cache_mode)s, pg_backend_pid() <> %(pid)s)
"""
POOLED = "settle_pooled"


def engine_url(url: str) -> sqlalchemy.URL:
    """Return a PostgreSQL URL, in any of its usual spellings, for psycopg 3.

    Args:
        url: `postgresql://user:password@host:port/name`, also with the scheme
            `postgres`, with a driver of its own, with several hosts, and with
            libpq's parameters.

    Raises:
        ValueError: If the URL is not one of a PostgreSQL database.
    """
    # SQLAlchemy knows several hosts with ports only as parameters.
    several = SEVERAL_HOSTS.search(url)
    try:
        parsed = sqlalchemy.make_url(SEVERAL_HOSTS.sub(r"\g<login>", url, count=1))
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise ValueError("it is not a database URL") from error
    if not _is_clear(url):
        raise ValueError("its host cannot be read: percent-encode the password")
    if parsed.drivername.partition("+")[0] not in ("postgresql", "postgres"):
        raise ValueError(f"{parsed.drivername!r} is not postgresql://")
    if several:
        pairs = HOST_AND_PORT.findall(several["hosts"])
        hosts = ",".join(host.strip("[]") for host, _ in pairs)
        ports = ",".join(port or DEFAULT_PORT for _, port in pairs)
        parsed = parsed.update_query_dict({"host": hosts, "port": ports})
    return parsed.set(drivername="postgresql+psycopg")


def _is_clear(url: str) -> bool:
    """Return whether a password ends where SQLAlchemy lets it end, at the first `@`.

    If not, what follows is taken for a host or a name, which errors quote.
    """
    login = LOGIN.match(url)
    place, _, query = url[login.end() :].partition("?") if login else ("", "", "")
    return "@" not in place + VALUE.sub("", query)


def make_engine(
    url: str,
    *,
    application_name: str,
    statement_timeout_seconds: float,
    lock_timeout_seconds: float,
    plan_cache_mode: str = "auto",
    **options: Any,
) -> sqlalchemy.Engine:
    """Make an engine whose transactions are READ COMMITTED and have timeouts.

    Args:
        url: See `engine_url`. What it says of libpq's parameters is kept.
        application_name: What sessions are called.
        statement_timeout_seconds: After which PostgreSQL gives a statement up.
        lock_timeout_seconds: How long to wait for a row that another session holds.
        plan_cache_mode: PostgreSQL's own: whether a statement is planned anew for its values.
        options: Those of the pool.
    """
    target = engine_url(url)
    defaults = {
        "application_name": application_name,
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "tcp_user_timeout": TCP_USER_TIMEOUT_MILLISECONDS,
    }
    engine = sqlalchemy.create_engine(
        target,
        # READ COMMITTED is what makes the second statement see the winners.
        isolation_level="READ COMMITTED",
        # A statement's parameters are upstream's data: never in an error.
        hide_parameters=True,
        connect_args={name: it for name, it in defaults.items() if name not in target.query},
        **options,
    )
    settings = {
        "statement_timeout": f"{statement_timeout_seconds * 1000:.0f}",
        "lock_timeout": f"{lock_timeout_seconds * 1000:.0f}",
        "plan_cache_mode": plan_cache_mode,
    }
    event.listen(engine, "connect", partial(_set_up, settings))
    event.listen(engine, "begin", partial(_set_if_pooled, settings))
    return engine


def is_pooled(connection: sqlalchemy.Connection) -> bool:
    """Return whether there is a pooler between this process and PostgreSQL."""
    return bool(connection.info[POOLED])


def _set_up(
    settings: Mapping[str, str],
    connection: psycopg.Connection[tuple[bool, str, str]],
    entry: ConnectionPoolEntry,
) -> None:
    parameters = {**settings, "pid": connection.info.backend_pid}
    try:
        connection.autocommit = True
        row = connection.execute(SET_IF_OWN, parameters).fetchone()
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    entry.info[POOLED] = pooled = not (row and row[0])
    if pooled:
        connection.prepare_threshold = None


def _set_if_pooled(settings: Mapping[str, str], connection: sqlalchemy.Connection) -> None:
    if is_pooled(connection):
        # Parameters cannot be bound in SET; these are numbers, and a word of ours.
        connection.exec_driver_sql(
            "; ".join(f"SET LOCAL {name} = {value}" for name, value in settings.items())
        )
