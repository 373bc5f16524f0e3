"""Plain messages go the short way on RabbitMQ, too, whoever sent them; the others do not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from settle_client import Producer

if TYPE_CHECKING:
    from tests.rabbitmq import RabbitMQ
    from tests.service import Service

pytestmark = pytest.mark.rabbitmq
MESSAGES = 500
EACH = 200
BURSTS = 20


def fetched(service: Service, rabbitmq: RabbitMQ) -> Counter[str]:
    """Return how many messages the worker has fetched, by the way they went."""
    service.operator.conf.broker_url = rabbitmq.url
    (answer,) = service.operator.control.inspect(timeout=10, limit=1).stats().values()
    return Counter(answer["settle"]["messages_fetched"])


def warm_up(service: Service, rabbitmq: RabbitMQ, producer: Producer) -> None:
    """Let the worker fetch as many ahead as it will.

    It consumes anew for that, and what RabbitMQ has on its way then comes back, which is
    no plain message any more.
    """
    for burst in range(BURSTS):
        before = fetched(service, rabbitmq)
        ids = [f"ev_{burst}_{number}" for number in range(EACH)]
        service.load(*ids)
        service.wait({producer.send({"id": id_, "status": "failed"}): [id_] for id_ in ids})
        if fetched(service, rabbitmq) - before == {"plain": EACH}:
            return
    raise AssertionError(f"some of {EACH} messages came back in each of {BURSTS} bursts")


def test_plain_messages_go_the_short_way(quorum: Service, rabbitmq: RabbitMQ) -> None:
    """From our producer and from any Celery client, between others that do not."""
    service = quorum
    ids = [f"ev_{number}" for number in range(MESSAGES + 2 * EACH)]
    service.load(*ids)
    service.start_worker()
    with Producer(rabbitmq.url) as producer:
        warm_up(service, rabbitmq, producer)
        before = fetched(service, rabbitmq)
        sent = {producer.send({"id": id_, "status": "completed"}): [id_] for id_ in ids[:MESSAGES]}
    for number, id_ in enumerate(ids[MESSAGES:]):
        # Its result is wanted, which is plain; that it may expire is not.
        options = {"expires": 3_600} if number % 2 else {}
        message = service.send(kwargs={"id": id_, "status": "failed"}, **options)
        sent[message.id] = [id_]
    outcomes = service.wait(sent)
    assert all(outcome.updated for answers in outcomes.values() for outcome in answers)
    service.wait_until_empty()
    went = fetched(service, rabbitmq) - before
    assert went == {"plain": MESSAGES + EACH, "other": EACH}
