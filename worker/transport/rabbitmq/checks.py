"""The update queue in RabbitMQ, and what is delayed beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.finding import Finding, ok
from worker.transport import kombu
from worker.transport.rabbitmq import delay_queues

if TYPE_CHECKING:
    from collections.abc import Callable


def backlog(connection: Any) -> Finding:
    """Say how much waits, and how much is delayed."""
    finding = kombu.backlog(connection)
    delayed = delay_queues.count(connection)
    return ok(f"{finding.found}, {delayed:,} delayed") if delayed else finding


CHECKS: tuple[Callable[[Any], Finding], ...] = (kombu.server, backlog)
