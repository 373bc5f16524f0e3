"""Delayed messages are held by RabbitMQ, not by a worker; for a producer with only Celery."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from kombu import pools
from kombu.connection import Connection

from tests.service import Service, eventually
from worker.transport.rabbitmq import delay_queues
from worker.transport.rabbitmq.broker import RabbitMQ as Broker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rabbitmq import RabbitMQ

HOUR_SECONDS = 3_600
ALARM = ("set_vm_memory_high_watermark", "absolute", "1")
NO_ALARM = ("set_vm_memory_high_watermark", "0.4")


@pytest.fixture
def service(quorum: Service, rabbitmq: RabbitMQ) -> Iterator[Service]:
    """Give a service without a worker yet, and empty queues."""
    yield quorum
    make: Any = Connection
    with make(rabbitmq.url) as connection:
        for name in delay_queues.NAMES:
            with suppress(connection.channel_errors), connection.channel() as channel:
                if channel.queue_declare(name, passive=True).message_count:
                    channel.queue_purge(name)


def send(service: Service, id_: str = "ev_1", **options: Any) -> Any:
    """Send an update."""
    update = {"id": id_, "status": "completed"}
    return service.send(kwargs=update, ignore_result=True, **options)


def delayed(service: Service) -> int:
    """Return how many RabbitMQ holds until they are due."""
    with service.producer.connection_for_write() as connection:
        return int(Broker().delayed(connection))


def waiting_or_held(service: Service) -> list[str]:
    """Return how many messages the update queue has, and how many of them are held."""
    assert service.rabbitmq is not None
    columns = ("name", "messages", "messages_unacknowledged")
    for line in service.rabbitmq.control("list_queues", *columns, "--no-table-headers").split("\n"):
        if line.startswith("event-status-updates\t"):
            return line.split("\t")[1:]
    return []


def test_no_worker_holds_what_is_not_due(service: Service) -> None:
    """However it is written; those behind it are settled. Nothing of others' is declared."""
    service.load("ev_1")
    worker = service.start_worker()
    assert service.rabbitmq is not None
    assert "\ncelery_delayed" not in service.rabbitmq.control("list_queues", "name")
    assert "delayed delivery" not in worker.log.read_text()
    for _ in range(100):
        send(service, countdown=HOUR_SECONDS)
    send(service, countdown=HOUR_SECONDS, expires=2 * HOUR_SECONDS)
    send(service, countdown=HOUR_SECONDS, compression="bzip2")
    send(service, eta=datetime.now() + timedelta(days=36_500))  # noqa: DTZ005 - as people do
    due = send(service)
    assert service.wait({due.id: ["ev_1"]})[due.id][0].updated
    eventually(lambda: delayed(service) == 103)
    eventually(lambda: waiting_or_held(service) == ["0", "0"])
    assert worker.stop() == 0
    with service.producer.connection_for_write() as connection:
        findings = [check(connection).found for check in Broker().checks]
    assert "0 messages waiting, 0 consumers, 103 delayed" in findings


def test_what_is_revoked_or_expires_before_it_is_due_is_dropped(service: Service) -> None:
    """As if a worker held it meanwhile; one that is not valid is answered."""
    service.load("ev_1", "ev_2", "ev_3")
    worker = service.start_worker()
    # A new node takes its time to make the queues for them.
    revoked = send(service, countdown=10)
    expired = send(service, "ev_2", countdown=10, expires=7)
    wrong = service.send(args=["nonsense"], countdown=10, ignore_result=True)
    eventually(lambda: delayed(service) == 3)
    service.producer.control.revoke(revoked.id, reply=True)
    done = send(service, "ev_3", countdown=3)
    by_message = service.wait({done.id: ["ev_3"], wrong.id: [""]})
    assert by_message[wrong.id][0].reason == "invalid"
    service.wait_until_empty()
    rows = service.database.read_events(["ev_1", "ev_2"])
    assert [rows[id_].status for id_ in ("ev_1", "ev_2")] == [None, None]
    log = worker.log.read_text()
    assert (revoked.id in log, expired.id in log) == (True, True)
    (letter,) = service.channel.xrange("event-status-updates.dead")
    assert "x-death" not in str(letter)
    assert "celery_delayed" not in str(letter)


def test_what_rabbitmq_cannot_take_stays_in_the_worker(
    service: Service, rabbitmq: RabbitMQ
) -> None:
    """Short of memory it takes nothing; what is due is settled all the same."""
    service.load("ev_1", "ev_2")
    late = send(service, countdown=45)
    due = send(service, "ev_2")
    rabbitmq.control(*ALARM)
    try:
        worker = service.start_worker("--without-heartbeat", "--without-gossip")
        worker.wait_for_log("delayed messages stay in the worker")
        by_message = service.wait({due.id: ["ev_2"], late.id: ["ev_1"]})
    finally:
        rabbitmq.control(*NO_ALARM)
    assert by_message[due.id][0].updated
    assert by_message[late.id][0].updated
    service.wait_until_empty()


def test_what_is_due_is_settled_whatever_was_killed_meanwhile(
    service: Service, rabbitmq: RabbitMQ
) -> None:
    """The worker that fetched it, and RabbitMQ itself; however often it came back before.

    Also one that has been through all these queues, which is no endless round.
    """
    service.load("ev_1", "ev_2", "ev_3")
    killed = service.start_worker()
    eta = datetime.now(UTC) + timedelta(seconds=12)
    been = [{"queue": name, "reason": "expired", "count": 1} for name in delay_queues.NAMES]
    before = {"x-delivery-count": 16, "x-death": been, "CC": ["elsewhere"]}
    sent = {
        send(service, eta=eta, headers=before).id: ["ev_1"],
        send(service, "ev_2", eta=eta, priority=9).id: ["ev_2"],
        send(service, "ev_3", eta=eta, compression="bzip2").id: ["ev_3"],
    }
    eventually(
        lambda: delayed(service) == 3, lambda: (delayed(service), killed.log.read_text()[-1500:])
    )
    killed.kill()
    rabbitmq.stop(immediate=True)
    rabbitmq.start()
    pools.reset()  # type: ignore[no-untyped-call]
    service.start_worker()
    for (outcome,) in service.wait(sent).values():
        assert outcome.updated
        assert isinstance(outcome.completed_at, datetime)
        assert outcome.completed_at >= eta
    service.wait_until_empty()
