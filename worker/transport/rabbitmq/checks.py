"""The update queue in RabbitMQ, what is delayed beside it, and whether anything gets there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amqp import Message

from service.finding import Finding, failure, ok
from worker.transport import kombu
from worker.transport.rabbitmq import delay_queues

if TYPE_CHECKING:
    from collections.abc import Callable

# No queue has this name: what is published to it is confirmed, and gone.
NOWHERE = "settle.doctor.nowhere"


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


def backlog(connection: Any) -> Finding:
    """Say how much waits, and how much is delayed."""
    finding = kombu.backlog(connection)
    delayed = delay_queues.count(connection)
    return ok(f"{finding.found}, {delayed:,} delayed") if delayed else finding


CHECKS: tuple[Callable[[Any], Finding], ...] = (kombu.server, alarm, backlog)
