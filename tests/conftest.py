"""Servers, databases and a Redis for the tests.

The unit ring uses none of it. The other rings get a real PostgreSQL and a real
Valkey: those that DATABASE_URL and CELERY_BROKER_URL name, or embedded ones.
Each test has a database of its own, cloned from one that Alembic has migrated.
"""

from __future__ import annotations

import itertools
import os
import secrets
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pytest
import redis
from hypothesis import settings

from bench.partitions import move_into_partitions
from cli.embedded import Postgres, Redis, ServerUnavailable, temporary_folder
from db import Database
from db.migrate import migrate
from tests.prometheus import QUICKER, Prometheus
from tests.rabbitmq import RabbitMQ
from tests.started import or_skipped, started
from tests.tables import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ("tests.rings",)

# A slow machine is no failure, and a failure must come again.
settings.register_profile("settle", deadline=None, derandomize=True)
settings.load_profile("settle")

NUMBERS = itertools.count(1)


class Urls(NamedTuple):
    """Where the servers of this test run are."""

    database: str
    redis: str


@pytest.fixture(scope="session")
def urls() -> Iterator[Urls]:
    """Name the configured servers, and start those that are not configured."""
    database, broker = os.environ.get("DATABASE_URL"), os.environ.get("CELERY_BROKER_URL")
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        with or_skipped(ServerUnavailable):
            if not database:
                database = stack.enter_context(Postgres(folder / "postgres")).url
            if not broker:
                broker = stack.enter_context(Redis(folder / "redis")).url
        with redis.Redis.from_url(broker) as client:
            if client.dbsize():
                pytest.exit("CELERY_BROKER_URL names a Redis database that is not empty", 2)
        yield Urls(database, broker)


@pytest.fixture(scope="session")
def template(urls: Urls) -> Iterator[str]:
    """Migrate a database that the tests' own are copied from."""
    name = f"settle_test_{secrets.token_hex(4)}"
    with psycopg.connect(urls.database, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        migrate(with_name(urls.database, name))
        yield name
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def partitioned_template(urls: Urls, template: str) -> Iterator[str]:
    """Make the same with a partitioned table."""
    with clone(urls, template) as url:
        with psycopg.connect(url, autocommit=True) as owner:
            move_into_partitions(owner)
        yield url.rpartition("/")[2]


@pytest.fixture
def table() -> str:
    """Name the kind of table that a test has; `tests.tables.both` asks for either."""
    return PLAIN


@pytest.fixture
def database_url(request: pytest.FixtureRequest, urls: Urls, table: str) -> Iterator[str]:
    """Give a migrated, empty database."""
    template = "template" if table == PLAIN else "partitioned_template"
    with clone(urls, request.getfixturevalue(template)) as url:
        yield url


@contextmanager
def clone(urls: Urls, template: str) -> Iterator[str]:
    """Make a database for as long as somebody needs it."""
    name = f"{template}_{next(NUMBERS)}"
    with psycopg.connect(urls.database, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield with_name(urls.database, name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def with_name(url: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    return f"{url.rpartition('/')[0]}/{name}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Give the events table of an empty database."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def redis_url(urls: Urls) -> Iterator[str]:
    """Give an empty Redis."""
    with redis.Redis.from_url(urls.redis) as client:
        client.flushdb()
        yield urls.redis
        client.flushdb()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """Give a RabbitMQ node."""
    with started(RabbitMQ) as node:
        yield node


@pytest.fixture
def prometheus(request: pytest.FixtureRequest) -> Iterator[Prometheus]:
    """Give a Prometheus that scrapes nobody yet, as much quicker as a test says."""
    quicker_by = getattr(request, "param", QUICKER)
    with started(lambda folder: Prometheus(folder, quicker_by)) as server:
        yield server
