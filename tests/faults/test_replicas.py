"""What `settle doctor` says of a cluster of RabbitMQ that lacks a node, or a replica."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kombu.connection import Connection

from cli.doctor.examination import examine
from cli.doctor.parts import management_part
from service.finding import Verdict
from service.settings import Settings
from settle_client.kombu_queue import ARGUMENTS
from settle_client.names import QUEUE
from tests.rabbitmq_cluster import Cluster
from tests.service import eventually
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(name="rabbitmq")
def managed_cluster() -> Iterator[Cluster]:
    """Give three nodes of RabbitMQ with the management plugin."""

    def managed(folder: Path) -> Cluster:
        return Cluster(folder, managed=True)

    with started(managed) as cluster:
        yield cluster


def says(cluster: Cluster, text: str, verdict: Verdict) -> bool:
    """Return whether the doctor says so, who asks the first node."""
    known = Settings.model_construct(
        **{
            **Settings().model_dump(),
            "broker_url": cluster.url,
            "rabbitmq_management_url": cluster.nodes[0].management_url,
        }
    )
    found = {result.check: result.finding for result in examine(management_part(known))}
    return text in found["replicas"].found and found["replicas"].verdict is verdict


def declare(cluster: Cluster, **arguments: Any) -> None:
    """Declare the queue anew, its leader on the first node."""
    connect: Any = Connection
    with connect(cluster.nodes[0].url) as connection:
        connection.default_channel.queue_delete(QUEUE)
        connection.default_channel.queue_declare(
            QUEUE, durable=True, auto_delete=False, arguments={**ARGUMENTS, **arguments}
        )


def test_a_replica_that_is_away_or_was_never_there(rabbitmq: Cluster) -> None:
    """Whatever node is asked, all know of all."""
    declare(rabbitmq)
    eventually(lambda: says(rabbitmq, "3 replicas on 3 nodes, all there", Verdict.OK))
    last = rabbitmq.nodes[-1]
    last.stop(immediate=True)
    away = f"2 of 3 replicas are there, not {last.name}"
    eventually(lambda: says(rabbitmq, away, Verdict.WARNING))
    last.start()
    eventually(lambda: says(rabbitmq, "all there", Verdict.OK))
    declare(rabbitmq, **{"x-quorum-initial-group-size": 1})
    eventually(lambda: says(rabbitmq, "1 replica on 3 nodes", Verdict.WARNING))
