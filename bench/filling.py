"""The queue of a contender, full before it starts: in Redis, RabbitMQ or PostgreSQL."""

from __future__ import annotations

import time
import uuid
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from celery import Celery
from kombu import connection as kombu_connection

from bench.errors import BenchError
from bench.event_ids import event_id
from bench.peers import graphile_worker
from service.addresses import is_redis
from settle_client.envelope import bulk, single
from settle_client.kombu_queue import KombuQueue
from settle_client.names import QUEUE, TASK
from settle_client.producer import Producer
from settle_client.update import StatusUpdate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.contenders import Contender
    from bench.rig import Rig
    from settle_client.envelope import Envelope

    Send = Callable[[list[dict[str, str]]], object]

PATIENCE_SECONDS = 60
POLL_SECONDS = 0.1
# Untyped, as kombu is.
Connection: Any = kombu_connection.Connection


def fill(rig: Rig, contender: Contender) -> None:
    """Put all messages of a contender into its queue, an event each update."""
    if contender.in_postgresql:
        total = contender.messages * contender.updates_each
        updates = _updates(range(total))
        graphile_worker.fill(rig.database_url, TASK, updates, contender.updates_each)
        return
    if contender.classic:
        _fill_classic(rig.rabbitmq_url, contender.messages)
    elif contender.on_rabbitmq:
        fill_quorum_queue(rig.rabbitmq_url, contender.messages, contender.updates_each)
    else:
        with sending(rig.broker_url) as send:
            _send_all(send, contender.messages, contender.updates_each)


def fill_quorum_queue(url: str, messages: int, updates_each: int = 1) -> None:
    """Begin with a new queue in RabbitMQ, and see that it holds all messages.

    Raises:
        BenchError: It does not.
    """
    delete_queue(url)
    with sending(url) as send, Connection(url) as connection:
        _send_all(send, messages, updates_each)
        # What nobody confirms may be on its way still, and would go with its channel.
        deadline = time.monotonic() + PATIENCE_SECONDS
        channel = connection.default_channel
        while (held := channel.queue_declare(QUEUE, passive=True).message_count) < messages:
            if time.monotonic() > deadline:
                raise BenchError(f"RabbitMQ holds {held:,} of {messages:,} messages")
            time.sleep(POLL_SECONDS)


def delete_queue(url: str) -> None:
    """Remove the update queue from RabbitMQ, whatever kind it is."""
    with Connection(url) as connection:
        connection.default_channel.queue_delete(QUEUE)


def _send_all(send: Send, messages: int, each: int) -> None:
    for first in range(0, messages * each, each):
        send(_updates(range(first, first + each)))


@contextmanager
def sending(url: str) -> Iterator[Send]:
    """Give what sends a message with some updates by the producer client.

    To RabbitMQ without waiting for each to be confirmed, or the sender would be what limits.
    """
    if is_redis(url):
        with Producer(url) as producer:
            yield (
                lambda updates: (
                    producer.send_together(updates) if updates[1:] else producer.send(updates[0])
                )
            )
        return
    with closing(KombuQueue(url, confirm_publish=False)) as queue:
        # So that the queue is there, also before anything is sent.
        queue.push([])
        send_one = _sender(queue)
        yield (
            lambda updates: (
                queue.push([_envelope(updates)]) if updates[1:] else send_one(updates[0])
            )
        )


def _sender(queue: KombuQueue) -> Callable[[dict[str, str]], None]:
    """Return what sends an update, of the status that all have here, for little.

    The frames are those that the producer writes for another one, with ids of the same length in
    their places: whoever measures how long an update waits must not be what it waits for.
    """
    [sample] = _updates(range(1))
    envelope = _envelope([sample])
    transport = queue._channel.connection.transport  # noqa: SLF001 - there is no other way to it
    written: list[bytes] = []
    write = transport._write  # noqa: SLF001 - py-amqp's, whose buffer is used again
    transport._write = lambda data: written.append(bytes(data))  # noqa: SLF001
    try:
        queue.push([envelope])
    finally:
        transport._write = write  # noqa: SLF001
    frames = b"".join(written)

    def send(update: dict[str, str]) -> None:
        own = frames.replace(sample["id"].encode(), update["id"].encode())
        write(own.replace(envelope.message_id.encode(), str(uuid.uuid4()).encode()))

    return send


def _envelope(updates: list[dict[str, str]]) -> Envelope:
    checked = [msgspec.convert(update, StatusUpdate) for update in updates]
    return bulk(checked) if checked[1:] else single(checked[0])


def _updates(numbers: range) -> list[dict[str, str]]:
    return [{"id": event_id(number), "status": "completed"} for number in numbers]


def _fill_classic(url: str, messages: int) -> None:
    delete_queue(url)
    # Celery remembers what it has declared, and not that it was deleted.
    with Connection(url) as connection:
        connection.default_channel.queue_declare(QUEUE, durable=True, auto_delete=False)
    with Celery(broker=url, set_as_current=False) as app:
        for update in _updates(range(messages)):
            app.send_task(TASK, kwargs=update, queue=QUEUE, ignore_result=True)
