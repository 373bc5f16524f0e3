"""What the producer client sends, on a real broker, read by Settle and by stock Celery."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from settle_client.names import QUEUE
from tests import faces

if TYPE_CHECKING:
    from tests.service import Service

face = faces.face

# Made anew for every message.
DIFFERENT = ("id", "root_id", "correlation_id", "delivery_tag", "origin", "reply_to", "sent_at")
UPDATE = {"id": "ev_1", "status": "completed", "accountId": "acct_1"}


def taken(service: Service) -> tuple[Any, Any]:
    """Take the next message: what it is besides its body, and its body."""
    message = json.loads(service.redis.rpop(QUEUE))
    body = json.loads(b64decode(message.pop("body")))
    for part in ("headers", "properties"):
        message[part] = {k: v for k, v in message[part].items() if k not in DIFFERENT}
    return message, body


def test_one_update_is_written_as_celery_writes_it(face: Any, service: Service) -> None:
    """Field for field, but for what is made anew for every message."""
    service.send(kwargs=UPDATE, ignore_result=True)
    with face.producer(service.users.producer) as producer:
        producer.send({**UPDATE, "payload": {"ignored": True}})
    assert taken(service) == taken(service)


def test_it_says_when_it_was_sent(face: Any, service: Service) -> None:
    """Which Celery does not: a header, in seconds since the epoch."""
    before = time.time()
    with face.producer(service.users.producer) as producer:
        producer.send(UPDATE)
    headers = json.loads(service.redis.rpop(QUEUE))["headers"]
    assert before - 0.001 <= headers["sent_at"] <= time.time()


def test_several_updates_are_written_as_celery_writes_them(face: Any, service: Service) -> None:
    """Only what is shown of the arguments is shorter: ids alone."""
    updates = [{"id": f"ev_{n} 100% “ü”", "status": "failed"} for n in range(3)]
    service.send(args=[updates], ignore_result=True)
    with face.producer(service.users.producer) as producer:
        producer.send_together(updates)
    (theirs, their_body), (ours, our_body) = taken(service), taken(service)
    assert our_body == their_body
    assert ours["headers"].pop("argsrepr") == repr([each["id"] for each in updates])
    del theirs["headers"]["argsrepr"]
    assert ours == theirs


def test_settle_reads_what_it_sends(face: Any, service: Service) -> None:
    """Singles and several together."""
    service.load("ev_1", "ev_2", "ev_3")
    service.start_worker()
    with face.producer(service.users.producer) as producer:
        single = producer.send(UPDATE)
        together = producer.send_together(
            [{"id": "ev_2", "status": "failed"}, {"id": "ev_3", "status": "completed"}]
        )
    by_message = service.wait({single: ["ev_1"], together: ["ev_2", "ev_3"]})
    assert [o.updated for o in by_message[single] + by_message[together]] == [True] * 3


def test_a_stock_worker_reads_what_it_sends(face: Any, service: Service) -> None:
    """A task of the usual kind, in a worker without anything of ours but the peer's task."""
    service.load("ev_1", "ev_2")
    # Stock Celery needs more of Redis than Settle's own user may.
    urls = dict.fromkeys(("CELERY_BROKER_URL", "SETTLE_OUTCOME_URL"), service.redis_url)
    urls["DATABASE_URL"] = service.database_url
    service.start_worker(app="bench.peers.one_task_per_message", **urls)
    with face.producer(service.users.producer) as producer:
        single = producer.send(UPDATE)
        together = producer.send_together([{"id": "ev_2", "status": "failed"}])
    by_message = service.wait({single: ["ev_1"], together: ["ev_2"]})
    assert [o.status for o in by_message[single] + by_message[together]] == ["completed", "failed"]


def test_nothing_is_lost_when_its_connections_are_closed(face: Any, service: Service) -> None:
    """Again and again, while it sends."""
    with face.producer(service.users.producer, max_unsent_updates=100) as producer:
        ids = []
        for number in range(2_000):
            if number % 400 == 0:
                service.redis.client_kill_filter(_type="normal", skipme=True)
            ids.append(producer.send(UPDATE))
    there = [json.loads(item)["headers"]["id"] for item in service.redis.lrange(QUEUE, 0, -1)]
    # What was on its way may be there twice, under the same id.
    assert set(there) == set(ids)
