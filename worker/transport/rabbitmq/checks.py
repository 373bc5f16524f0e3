"""The update queue in RabbitMQ, what is delayed beside it, and whether anything gets there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amqp import Message

from service.finding import Finding, failure, ok
from settle_client.kombu_queue import ARGUMENTS
from settle_client.names import QUEUE
from worker.transport import kombu
from worker.transport.rabbitmq import delay_queues

if TYPE_CHECKING:
    from collections.abc import Callable

# No queue has this name: what is published to it is confirmed, and gone.
NOWHERE = "settle.doctor.nowhere"
PRECONDITION_FAILED = 406


class BlockedError(Exception):
    """The broker has said that it takes nothing in."""


def alarm(connection: Any) -> Finding:
    """Check that it takes messages in.

    It says that it does not to who has published, and reads no more from that connection:
    so it is another than that of the other checks, and is ended without a word.
    """
    driver = connection.clone().connect()
    driver.on_blocked = _raise
    try:
        driver.channel().basic_publish_confirm(
            Message(""), routing_key=NOWHERE, confirm_timeout=kombu.ANSWER_SECONDS
        )
    except BlockedError:
        return failure(
            "takes nothing in, short of memory or disk: producers wait, and no worker is heard",
            "see rabbitmq-diagnostics alarms; free what it is short of, or let workers drain it",
        )
    finally:
        driver.collect()
    return ok("none: it takes messages in")


def _raise(_reason: str) -> None:
    raise BlockedError


def queue(connection: Any) -> Finding:
    """Check that the queue is the one that workers declare, for they do not start with another."""
    if kombu.look_at_queue(connection) is None:
        return ok("not there yet; the first worker declares it")
    try:
        # Changes nothing of a queue that is there: RabbitMQ compares.
        with connection.channel() as channel:
            channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=ARGUMENTS)
    except connection.channel_errors as error:
        if getattr(error, "reply_code", None) != PRECONDITION_FAILED:
            raise
        return failure(
            f"not as workers declare it, who do not start: {error.reply_text}",
            f"let its workers drain it, then rabbitmqctl delete_queue {QUEUE}",
        )
    return ok("a quorum queue, as workers declare it")


def backlog(connection: Any) -> Finding:
    """Say how much waits, and how much is delayed."""
    finding = kombu.backlog(connection)
    delayed = delay_queues.count(connection)
    return ok(f"{finding.found}, {delayed:,} delayed") if delayed else finding


CHECKS: tuple[Callable[[Any], Finding], ...] = (kombu.server, queue, alarm, backlog)
