"""The way to PostgreSQL: from a URL to an engine.

What its sessions are like is in `db.sessions`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlalchemy

from db.sessions import STARTUP, set_up_sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT_SECONDS = 5
# A dead link is noticed by the kernel, not by waiting for a statement timeout.
TCP_USER_TIMEOUT_MILLISECONDS = 15_000
# While an answer is waited for nothing is sent that could remain without an acknowledgement: a
# host that is gone, or cut off, is noticed by asking it. The system's own patience is two hours.
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
# What PostgreSQL does if nobody says otherwise.
AUTO = {"plan_cache_mode": "auto"}
DEFAULT_PORT = "5432"
AS_IN = "write it as in postgresql://user:password@host:5432/settle"

HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:,/?#@\[\]]+)(?::(\d*))?")
SEVERAL_HOSTS = re.compile(
    rf"(?<=://)(?P<login>[^@]*@)?"
    rf"(?P<hosts>{HOST_AND_PORT.pattern}(?:,{HOST_AND_PORT.pattern})+)(?=[/?#]|$)"
)
LOGIN = re.compile(r"[^:]*://[^:/]*:[^@]*@")
VALUE = re.compile("=[^&]*")


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
        raise ValueError(f"it is not a database URL: {AS_IN}") from error
    if not _is_clear(url):
        raise ValueError("its host cannot be read: percent-encode the password")
    if parsed.drivername.partition("+")[0] not in ("postgresql", "postgres"):
        raise ValueError(f"{parsed.drivername!r} is not postgresql://: {AS_IN}")
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
    planning: Mapping[str, str] = AUTO,
    **options: Any,
) -> sqlalchemy.Engine:
    """Make an engine whose transactions are READ COMMITTED and have timeouts.

    Args:
        url: See `engine_url`. What it says of libpq's parameters is kept.
        application_name: What sessions are called.
        statement_timeout_seconds: After which PostgreSQL gives a statement up.
        lock_timeout_seconds: How long to wait for a row that another session holds.
        planning: PostgreSQL's own settings of how statements are planned.
        options: Those of the pool.
    """
    target = engine_url(url)
    defaults = {
        "application_name": application_name,
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "tcp_user_timeout": TCP_USER_TIMEOUT_MILLISECONDS,
        **KEEPALIVES,
    }
    engine = sqlalchemy.create_engine(
        target,
        # READ COMMITTED is what makes the second statement see the winners.
        isolation_level="READ COMMITTED",
        # A statement's parameters are upstream's data: never in an error.
        hide_parameters=True,
        connect_args=STARTUP
        | {name: it for name, it in defaults.items() if name not in target.query},
        **options,
    )
    settings = {
        "statement_timeout": f"{statement_timeout_seconds * 1000:.0f}",
        "lock_timeout": f"{lock_timeout_seconds * 1000:.0f}",
        **planning,
    }
    set_up_sessions(engine, settings)
    return engine
