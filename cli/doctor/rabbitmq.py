"""RabbitMQ, or any broker that is not one Redis: through kombu, as workers reach it."""

from __future__ import annotations

from typing import Any

from cli.doctor.verdict import Finding, ok
from service.reaching import NOT_FOUND
from settle_client.names import QUEUE


def server(connection: Any) -> Finding:
    """Tell what it is."""
    properties = getattr(connection.connection, "server_properties", {})
    told = f"{properties.get('product', '')} {properties.get('version', '')}".strip()
    return ok(told or f"answers ({connection.transport.driver_type})")


def backlog(connection: Any) -> Finding:
    """Tell how much waits."""
    try:
        with connection.channel() as channel:
            queue = channel.queue_declare(QUEUE, passive=True)
    except connection.channel_errors as error:
        if getattr(error, "reply_code", None) != NOT_FOUND:
            raise
        return ok("the queue is not there yet; the first worker declares it")
    return ok(f"{queue.message_count:,} messages waiting, {queue.consumer_count} consumers")


CHECKS = (server, backlog)
