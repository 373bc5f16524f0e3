"""A rig for every test that breaks something."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cli.embedded import ServerUnavailable
from settle_client.names import QUEUE
from tests.faults.rig import Rig, rig
from tests.gateway import Gateways

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def unloaded_rig(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Give servers that may be broken; the broker is a Redis, or RabbitMQ as a parameter."""
    on_rabbitmq = getattr(request, "param", "Redis") == "RabbitMQ"
    rabbitmq = request.getfixturevalue("rabbitmq") if on_rabbitmq else None
    try:
        with rig(tmp_path, rabbitmq=rabbitmq) as made:
            yield made
        if rabbitmq is not None:
            # Not deleted: Celery keeps connections for all its apps, on which it is declared.
            rabbitmq.control("purge_queue", QUEUE)
    except ServerUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def gateways(unloaded_rig: Rig) -> Iterator[Gateways]:
    """Give a way to start gateways before those servers."""
    with closing(Gateways(unloaded_rig.service)) as gateways:
        yield gateways


@pytest.fixture(name="rig")
def loaded_rig(unloaded_rig: Rig) -> Rig:
    """Give them under load."""
    unloaded_rig.start_load(events=40_000, per_second=300)
    return unloaded_rig
