"""A rig for every test that breaks something."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cli.embedded import ServerUnavailable
from settle_client.names import QUEUE
from tests.faults.rig import Rig, durable_servers, renew, rig
from tests.gateway import Gateways
from tests.rabbitmq_cluster import Cluster
from tests.started import or_skipped, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.rig import Servers

# Where a broker comes from that is not one of the servers that may be broken.
FIXTURES = {"RabbitMQ": "rabbitmq", "three nodes of RabbitMQ": "cluster"}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Give three nodes of RabbitMQ."""
    with started(Cluster) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def breakable() -> Iterator[Servers]:
    """Give servers that may be broken: they are mended for the next test."""
    with or_skipped(ServerUnavailable), durable_servers() as servers:
        yield servers


@pytest.fixture
def unloaded_rig(
    breakable: Servers, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Rig]:
    """Give a rig with those servers; the broker is a Redis, or as the parameter says."""
    fixture = FIXTURES.get(getattr(request, "param", "Redis"))
    rabbitmq = request.getfixturevalue(fixture) if fixture else None
    renew(breakable)
    with rig(breakable, tmp_path, rabbitmq=rabbitmq) as made:
        yield made
    if rabbitmq is not None:
        # Not deleted: Celery keeps connections for all its apps, on which it is declared.
        rabbitmq.control("purge_queue", QUEUE)


@pytest.fixture
def gateways(unloaded_rig: Rig) -> Iterator[Gateways]:
    """Give a way to start gateways before those servers."""
    with closing(Gateways(unloaded_rig.service)) as gateways:
        yield gateways


@pytest.fixture(name="rig")
def loaded_rig(unloaded_rig: Rig) -> Rig:
    """Give them under load."""
    unloaded_rig.start_load(events=10_000, per_second=300)
    return unloaded_rig
