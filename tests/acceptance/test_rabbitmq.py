"""The service on RabbitMQ, with a quorum queue, for a producer that has nothing but Celery."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import amqp
import pytest

from settle_client.names import QUEUE, TASK
from tests.acceptance.python_values import settle_on_every_path
from tests.gateway import Gateways
from tests.service import eventually
from worker.transport.rabbitmq.delay_queues import EXIT, declare

if TYPE_CHECKING:
    from tests.service import Service

POOLS = ["threads", "prefork", "solo"]


@pytest.fixture
def service(quorum: Service) -> Service:
    """Give a service without a worker yet, and an empty queue."""
    return quorum


@pytest.mark.parametrize("pool", POOLS)
def test_every_pool_settles(service: Service, pool: str) -> None:
    """Single updates and many in a message, each answered once; nothing is left."""
    ids = [f"ev_{number}" for number in range(600)]
    service.load(*ids)
    worker = service.start_worker("--pool", pool, CELERY_RESULT_BACKEND=service.redis_url)
    sent = {
        service.send(kwargs={"id": id_, "status": "completed"}, ignore_result=True).id: [id_]
        for id_ in ids[:500]
    }
    bulk = service.send(args=[[{"id": id_, "status": "failed"} for id_ in ids[400:]]])
    by_message = service.wait(sent)
    assert all(outcome.updated for (outcome,) in by_message.values())
    assert [one["updated"] for one in bulk.get(timeout=60)] == [False] * 100 + [True] * 100
    service.wait_until_empty()
    assert worker.stop() == 0
    assert "quorum" in service.rabbitmq.control("list_queues", "type")  # type: ignore[union-attr]


def test_celerys_own_options_keep_their_meaning(service: Service) -> None:
    """A message is delayed, expires, or is not understood, as on any broker."""
    service.load("ev_1", "ev_2")
    service.start_worker()
    past = datetime.now(UTC) - timedelta(hours=1)
    service.send(kwargs={"id": "ev_1", "status": "failed"}, expires=past, ignore_result=True)
    late = service.send(kwargs={"id": "ev_1", "status": "completed"}, countdown=1)
    wrong = service.send(args=["nonsense"], ignore_result=True)
    by_message = service.wait({late.id: ["ev_1"], wrong.id: [""]})
    assert by_message[late.id][0].updated
    assert by_message[wrong.id][0].reason == "invalid"
    service.wait_until_empty()
    late.forget()


@pytest.mark.parametrize("pool", POOLS)
def test_a_stop_under_load_loses_nothing(service: Service, pool: str) -> None:
    """What was not finished is back in the queue at once, for the next worker."""
    ids = [f"ev_{number}" for number in range(3_000)]
    service.load(*ids)
    worker = service.start_worker("--pool", pool, SETTLE_BATCH_MAX_UPDATES="100")
    sent = {}
    for id_ in ids:
        message = service.send(kwargs={"id": id_, "status": "completed"}, ignore_result=True)
        sent[message.id] = [id_]
        if id_ == "ev_2000":
            worker.process.terminate()
    assert worker.process.wait(60) == 0
    service.start_worker("--pool", pool)
    by_message = service.wait(sent)
    assert all(outcome.updated for outcomes in by_message.values() for outcome in outcomes)
    assert len(by_message) == len(ids)
    service.wait_until_empty()


def test_a_routing_key_may_be_any_bytes(service: Service) -> None:
    """Whoever may send by an exchange that matches patterns chooses what stands before the dot."""
    service.load("ev_1", "ev_2")
    worker = service.start_worker()
    assert service.rabbitmq is not None
    with service.producer.connection_for_write() as connection:
        declare(connection)
    with amqp.Connection(service.rabbitmq.url.rpartition("@")[2].strip("/")) as connection:
        channel = connection.channel()
        message = amqp.Message(
            '[[], {"id": "ev_1", "status": "completed"}, {}]',
            application_headers={"id": "odd", "task": TASK},
            content_type="application/json",
            content_encoding="utf-8",
        )
        channel.basic_publish(message, EXIT, b"\xff\xfe." + QUEUE.encode())
    good = service.send(kwargs={"id": "ev_2", "status": "completed"}, ignore_result=True)
    by_message = service.wait({good.id: ["ev_2"], "odd": ["ev_1"]})
    assert all(outcome.updated for (outcome,) in by_message.values())
    service.wait_until_empty()
    assert worker.stop() == 0


def test_messages_that_turn_out_to_be_large_are_not_all_held(service: Service) -> None:
    """After many small ones, what is fetched ahead is cut down; all of it is settled."""
    ids = [f"ev_{number}" for number in range(1_000)]
    service.load(*ids)
    sent = {}
    for _ in range(2_000):
        sent[service.send(kwargs={"id": "ev_0", "status": "failed"}, ignore_result=True).id] = 1
    for _ in range(100):
        updates = [{"id": id_, "status": "completed"} for id_ in ids]
        sent[service.send(args=[updates], ignore_result=True).id] = 1_000
    service.start_worker()
    service.wait_until_empty()
    assert len({row.settled_by for row in service.database.read_events(ids).values()}) == 2
    assert service.channel.xlen("event-outcomes") >= sum(sent.values())


def test_a_uuid_is_an_id_and_what_is_ignored_may_be_anything(service: Service) -> None:
    """As on any broker."""
    settle_on_every_path(service)


def test_a_request_over_http_goes_through_rabbitmq(service: Service) -> None:
    """Where it prefers to be answered later; its address has the outcomes."""
    service.load("ev_1")
    with closing(Gateways(service)) as gateways:
        gateway = gateways.start(CELERY_BROKER_URL=service.rabbitmq.url)  # type: ignore[union-attr]
        updates = [{"id": "ev_1", "status": "completed"}]
        answer = gateway.patch(updates, prefer="respond-async", idempotency_key="once")
        assert answer.status == 202
        service.start_worker()
        eventually(lambda: gateway.ask("GET", answer.headers["location"]).status == 200)
        (outcome,) = gateway.ask("GET", answer.headers["location"]).json["outcomes"]
        assert (outcome["updated"], outcome["messageId"]) == (True, "once")
        assert gateway.stop() == 0
