"""The users of docs/privileges.md, made on the servers of a test.

What is created here is what the page says, word for word but for the password, the
names of the users and of the database: the page cannot promise less than the
service needs, nor the service come to need more than the page grants.
"""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql
from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[1] / "docs" / "privileges.md"
PLACEHOLDER = "…"
DENIED = {"command", "key", "channel"}


class RedisUrls(NamedTuple):
    """How each of the documented users reaches Redis."""

    worker: str
    producer: str
    consumer: str
    operator: str
    housekeeper: str
    gateway: str
    webhooks: str


class CannotCreateUsersError(Exception):
    """The server is somebody's who lets us create no users."""


def documented_role(name: str) -> list[str]:
    """Return the SQL of the page that creates and equips a role."""
    blocks = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if f"CREATE ROLE {name} " in block)
    without_comments = re.sub(r"--.*", "", block)
    return [statement for part in without_comments.split(";") if (statement := part.strip())]


def documented_rules(name: str) -> list[list[str]]:
    """Return the rules of each `ACL SETUSER` line of a user on the page."""
    found = re.findall(rf"^ACL SETUSER {name} (.*)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    assert found
    return [rules.split() for rules in found]


@contextmanager
def postgres_role(name: str, database_url: str) -> Iterator[str]:
    """Create a documented role that may use a database, and give the URL it connects with.

    Raises:
        CannotCreateUsersError: The configured user may not.
    """
    password = secrets.token_hex()
    own_name = f"{name}_{secrets.token_hex(4)}"
    url = make_url(database_url)
    database = f'DATABASE "{url.database}"'
    with psycopg.connect(database_url, autocommit=True) as owner:
        for statement in documented_role(name):
            text = statement.replace(name, own_name).replace(PLACEHOLDER, password)
            if text.startswith("CREATE DATABASE"):
                text = f'ALTER {database} OWNER TO "{own_name}"'
            try:
                owner.execute(re.sub(r"\bDATABASE settle\b", database, text).encode())
            except psycopg.errors.InsufficientPrivilege as error:
                if "CREATE ROLE" not in text:
                    raise
                raise CannotCreateUsersError(f"PostgreSQL: {error}") from error
        try:
            yield url.set(username=own_name, password=password).render_as_string(
                hide_password=False
            )
        finally:
            role = sql.Identifier(own_name)
            owner.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
            owner.execute(sql.SQL("DROP OWNED BY {}").format(role))
            owner.execute(sql.SQL("DROP ROLE {}").format(role))


@contextmanager
def creating_role(database_url: str) -> Iterator[str]:
    """Create the documented role of a gateway whose clients may create events.

    Raises:
        CannotCreateUsersError: The configured user may not.
    """
    (grant,) = re.findall(r"```sql\n(GRANT INSERT [^`]*);\n```", PAGE.read_text("utf-8"))
    with postgres_role("settle_gateway", database_url) as url:
        with psycopg.connect(database_url) as owner:
            own_name = f'"{make_url(url).username}"'
            owner.execute(grant.replace("settle_gateway", own_name).encode())
        yield url


@contextmanager
def redis_users(redis_url: str) -> Iterator[RedisUrls]:
    """Create the documented users, and give the URLs they connect with.

    Raises:
        CannotCreateUsersError: The configured user may not.
    """
    suffix = secrets.token_hex(4)
    names = [f"settle-{kind}-{suffix}" for kind in RedisUrls._fields]
    with redis.Redis.from_url(redis_url) as client:
        owner: Any = client
        try:
            urls = RedisUrls(*(_make_redis_user(owner, redis_url, name) for name in names))
        except redis.ResponseError as error:
            raise CannotCreateUsersError(f"Redis: {error}") from error
        try:
            yield urls
        finally:
            owner.execute_command("ACL", "DELUSER", *names)


def denials(owner: redis.Redis, users: RedisUrls) -> list[str]:
    """Return what Redis has denied to the users, also where a client made nothing of it."""
    names = {urlsplit(url).username for url in users}
    return [
        f"{entry['username']}: {entry['reason']} {entry['object']} ({entry['context']})"
        for entry in owner.acl_log()
        if entry["username"] in names and entry["reason"] in DENIED
    ]


def _make_redis_user(owner: Any, redis_url: str, own_name: str) -> str:
    password = secrets.token_hex()
    parts = urlsplit(redis_url)
    channels = f"&/{parts.path.strip('/') or 0}."
    for rules in documented_rules(own_name.rpartition("-")[0]):
        own = [rule.replace(PLACEHOLDER, password).replace("&/0.", channels) for rule in rules]
        owner.execute_command("ACL", "SETUSER", own_name, *own)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{own_name}:{password}@{host}").geturl()
