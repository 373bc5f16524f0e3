"""Real workers, started as an operator would, and a producer with nothing but Celery.

All of them connect as the users that docs/privileges.md describes, and as nobody
else. On servers of somebody's who lets us create no users they connect as the
configured one, and the test run ends with a line that says so.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis

from cli.embedded import ServerUnavailable
from settle_client.names import QUEUE
from tests.accounts import (
    CannotCreateUsersError,
    RedisUrls,
    denials,
    postgres_role,
    redis_users,
)
from tests.conftest import clone
from tests.gateway import Gateway, Gateways
from tests.node import Node
from tests.service import Service
from tests.started import or_skipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.conftest import Urls
    from tests.rabbitmq import RabbitMQ

FALLBACKS = pytest.StashKey[set[str]]()


@pytest.fixture(scope="session")
def users(urls: Urls, pytestconfig: pytest.Config) -> Iterator[RedisUrls]:
    """Give the users of Redis."""
    fallback = RedisUrls(*[urls.redis] * len(RedisUrls._fields))
    documented = redis_users(urls.redis)
    with _or_configured(documented, fallback, "CELERY_BROKER_URL", pytestconfig) as users:
        yield users


@pytest.fixture
def worker_database_url(database_url: str, pytestconfig: pytest.Config) -> Iterator[str]:
    """Give the worker's way to the database."""
    documented = postgres_role("settle_worker", database_url)
    with _or_configured(documented, database_url, "DATABASE_URL", pytestconfig) as url:
        yield url


@contextmanager
def _or_configured(
    documented: AbstractContextManager[Any], fallback: Any, configured: str, config: pytest.Config
) -> Iterator[Any]:
    try:
        entered = documented.__enter__()
    except CannotCreateUsersError as error:
        if not os.environ.get(configured):
            raise
        config.stash.setdefault(FALLBACKS, set()).add(str(error))
        yield fallback
        return
    try:
        yield entered
    finally:
        documented.__exit__(None, None, None)


@pytest.fixture
def service(
    database_url: str, redis_url: str, tmp_path: Path, worker_database_url: str, users: RedisUrls
) -> Iterator[Service]:
    """Give a service without a worker yet, and see that nobody was denied anything."""
    with serving(database_url, redis_url, tmp_path, worker_database_url, users) as service:
        yield service


@contextmanager
def serving(
    database_url: str, redis_url: str, folder: Path, worker_database_url: str, users: RedisUrls
) -> Iterator[Service]:
    """Make a service; in the end see that nobody was denied anything."""
    with closing(
        Service(
            *(database_url, redis_url, folder),
            worker_database_url=worker_database_url,
            users=users,
        )
    ) as service:
        yield service
        if users.worker != redis_url:
            assert denials(service.redis, users) == []


@pytest.fixture
def quorum(
    database_url: str, redis_url: str, tmp_path: Path, rabbitmq: RabbitMQ
) -> Iterator[Service]:
    """Give a service on RabbitMQ without a worker yet, and an empty queue."""
    with closing(Service(database_url, redis_url, tmp_path, rabbitmq=rabbitmq)) as service:
        yield service
    # Not deleted: Celery keeps connections for all its apps, on which it is declared.
    rabbitmq.control("purge_queue", QUEUE)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Give the examples for Node.js."""
    with or_skipped(ServerUnavailable):
        return Node(tmp_path_factory.mktemp("node") / "examples")


@pytest.fixture(scope="module")
def lasting_service(
    urls: Urls,
    template: str,
    users: RedisUrls,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Service]:
    """Give a service to all tests of a module, which use events of their own."""
    with ExitStack() as stack:
        database_url = stack.enter_context(clone(urls, template))
        documented = postgres_role("settle_worker", database_url)
        role = _or_configured(documented, database_url, "DATABASE_URL", pytestconfig)
        worker_database_url = stack.enter_context(role)
        owner = stack.enter_context(redis.Redis.from_url(urls.redis))
        owner.flushdb()
        stack.callback(owner.flushdb)
        folder = tmp_path_factory.mktemp("service")
        yield stack.enter_context(
            serving(database_url, urls.redis, folder, worker_database_url, users)
        )


@pytest.fixture
def emptied_service(lasting_service: Service) -> Service:
    """Give that service with nothing in it."""
    lasting_service.empty()
    return lasting_service


@pytest.fixture(scope="module")
def lasting_gateway(lasting_service: Service, pytestconfig: pytest.Config) -> Iterator[Gateway]:
    """Give a gateway without keys to all tests of a module."""
    with _gateways(lasting_service, pytestconfig) as gateways:
        yield gateways.start()


@pytest.fixture
def gateways(service: Service, pytestconfig: pytest.Config) -> Iterator[Gateways]:
    """Give a way to start gateways, as the documented users."""
    with _gateways(service, pytestconfig) as gateways:
        yield gateways


@contextmanager
def _gateways(service: Service, config: pytest.Config) -> Iterator[Gateways]:
    url = service.database_url
    documented = postgres_role("settle_gateway", url)
    with (
        _or_configured(documented, url, "DATABASE_URL", config) as role_url,
        closing(Gateways(service, role_url)) as gateways,
    ):
        yield gateways


@pytest.fixture
def gateway(service: Service, gateways: Gateways) -> Gateway:
    """Give a gateway without keys, and four pending events."""
    service.load("ev_1", "ev_2", "ev_3", "ev_4")
    return gateways.start()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was not run as documented."""
    for reason in config.stash.get(FALLBACKS, set()):
        line = f"Acceptance ran as the configured user, not the documented one: {reason}"
        terminalreporter.write_line(line, yellow=True)
