"""What the producer client sends on RabbitMQ: confirmed, and read by Settle."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests import faces
from tests.forking import SEND_IN_BOTH, run
from tests.service import eventually

if TYPE_CHECKING:
    from tests.rabbitmq import RabbitMQ
    from tests.service import Service

pytestmark = pytest.mark.rabbitmq

face = faces.face


@pytest.fixture
def service(quorum: Service) -> Service:
    """Give a service without a worker yet, and an empty queue."""
    return quorum


def test_settle_reads_what_it_sends(face: Any, service: Service, rabbitmq: RabbitMQ) -> None:
    """Singles and several together, into a quorum queue, whoever declares it first."""
    service.load("ev_1", "ev_2", "ev_3")
    with face.producer(rabbitmq.url) as producer:
        single = producer.send({"id": "ev_1", "status": "completed"})
        together = producer.send_together(
            [{"id": "ev_2", "status": "failed"}, {"id": "ev_3", "status": "completed"}]
        )
    service.start_worker()
    by_message = service.wait({single: ["ev_1"], together: ["ev_2", "ev_3"]})
    assert [o.updated for o in by_message[single] + by_message[together]] == [True] * 3
    assert "quorum" in rabbitmq.control("list_queues", "type")


def test_nothing_is_lost_when_its_connections_are_closed(
    face: Any, service: Service, rabbitmq: RabbitMQ
) -> None:
    """Again and again, while it sends."""
    ids = [f"ev_{number}" for number in range(600)]
    service.load(*ids)
    sent = {}
    with face.producer(rabbitmq.url, max_unsent_updates=50) as producer:
        for number, id_ in enumerate(ids):
            if number % 200 == 100:
                rabbitmq.control("close_all_connections", "a test")
            sent[producer.send({"id": id_, "status": "completed"})] = [id_]
    service.start_worker()
    by_message = service.wait(sent)
    assert all(any(outcome.updated for outcome in outcomes) for outcomes in by_message.values())


@pytest.mark.usefixtures("service")
def test_a_child_sends_with_its_parents_producer(rabbitmq: RabbitMQ) -> None:
    """And so does the parent, before and afterwards; each message is sent once."""
    sent = [id_ for report in run(SEND_IN_BOTH, rabbitmq.url) for id_ in report["sent"]]
    assert len(sent) == 300
    assert rabbitmq.waiting_or_held() == 300


@pytest.mark.usefixtures("service")
def test_a_child_leaves_its_parents_connection_alone(rabbitmq: RabbitMQ) -> None:
    """Also when it ends as any process does."""
    script = """
producer = Producer(url)
producer.send(UPDATE)
producer.flush()
connection = producer._queue._connection
if not (child := os.fork()):
    producer.send(UPDATE)
    producer.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
producer.send(UPDATE)
producer.flush()
report(is_the_same=producer._queue._connection is connection)
producer.close()
"""
    assert run(script, rabbitmq.url) == [{"is_the_same": True}]


ENDING = """
import asyncio, sys
from settle_client import AsyncProducer, NotSentError

async def main():
    producer = AsyncProducer(sys.argv[1], timeout_seconds=1)
    await producer.send({"id": "ev_1", "status": "completed"})
    await producer.flush()
    input()
    await producer.send({"id": "ev_2", "status": "completed"})
    try:
        await producer.close()
    except NotSentError as error:
        print(error)

asyncio.run(main())
"""


@pytest.mark.usefixtures("service")
def test_a_program_ends_although_its_broker_hangs(rabbitmq: RabbitMQ) -> None:
    """What its thread waits for is over when the producer is closed."""
    node = psutil.Process(rabbitmq.pid)
    with subprocess.Popen(
        [sys.executable, "-c", ENDING, rabbitmq.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            eventually(lambda: rabbitmq.waiting_or_held() == 1)
            node.suspend()
            said, _ = program.communicate("\n", timeout=60)
        finally:
            node.resume()
            program.kill()
    assert said == "1 message not confirmed within 1 s\n"
