"""RabbitMQ, or any broker that is not one Redis: through kombu, as workers reach it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kombu.connection import Connection

from tasks.names import QUEUE
from worker.doctor.verdict import Finding, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_SECONDS = 3
NOT_FOUND = 404


@contextmanager
def reach_broker(url: str) -> Iterator[Any]:
    """Connect to a broker, and see that it answers."""
    patience = {"read_timeout": TIMEOUT_SECONDS, "write_timeout": TIMEOUT_SECONDS}
    with Connection(url, connect_timeout=TIMEOUT_SECONDS, transport_options=patience) as connection:
        connection.connect()
        yield connection


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
