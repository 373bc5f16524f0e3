"""Plain messages go the short way on RabbitMQ, too, whoever sent them; the others do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from settle_client import Producer

if TYPE_CHECKING:
    from tests.rabbitmq import RabbitMQ
    from tests.service import Service

pytestmark = pytest.mark.rabbitmq
MESSAGES = 500
EACH = 200


def test_plain_messages_go_the_short_way(quorum: Service, rabbitmq: RabbitMQ) -> None:
    """From our producer and from any Celery client, between others that do not."""
    service = quorum
    ids = [f"ev_{number}" for number in range(MESSAGES + 2 * EACH)]
    service.load(*ids)
    with Producer(rabbitmq.url) as producer:
        sent = {producer.send({"id": id_, "status": "completed"}): [id_] for id_ in ids[:MESSAGES]}
    for number, id_ in enumerate(ids[MESSAGES:]):
        # Its result is wanted, which is plain; that it may expire is not.
        options = {"expires": 3_600} if number % 2 else {}
        message = service.send(kwargs={"id": id_, "status": "failed"}, **options)
        sent[message.id] = [id_]
    service.start_worker()
    outcomes = service.wait(sent)
    assert all(outcome.updated for answers in outcomes.values() for outcome in answers)
    service.wait_until_empty()
    service.operator.conf.broker_url = rabbitmq.url
    (answer,) = service.operator.control.inspect(timeout=10, limit=1).stats().values()
    assert answer["settle"]["messages_fetched"] == {"plain": MESSAGES + EACH, "other": EACH}
