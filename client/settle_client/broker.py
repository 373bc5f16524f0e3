"""Where messages are pushed: many in one command of Redis, one after the other on RabbitMQ.

Both confirm: when `push` returns, the broker has every message. Neither tries again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu.connection import Connection
from kombu.entity import Exchange, Queue

from settle_client.names import QUEUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settle_client.envelope import Envelope

REDIS_OPTIONS = {"socket_timeout": 10, "socket_connect_timeout": 3, "socket_keepalive": True}
AMQP_OPTIONS = {"confirm_publish": True}


class Broker:
    """The queue, for one thread."""

    def __init__(self, url: str, **transport_options: Any) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: As Celery takes it.
            transport_options: kombu's, such as `master_name` behind sentinels.
        """
        self._url, self._options = url, transport_options
        self._connection: Any = None
        self._channel: Any = None

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """Put messages into the queue, in order.

        Raises:
            Exception: Of the driver; it is not known which of them the broker has.
        """
        if self._channel is None:
            self._connect()
        if self._keeps_lists:
            self._channel.client.lpush(QUEUE, *(envelope.item() for envelope in envelopes))
        else:
            for envelope in envelopes:
                self._publish(envelope)

    def _connect(self) -> None:
        connection: Any = Connection(self._url)
        self._keeps_lists = connection.transport.driver_type == "redis"
        defaults = REDIS_OPTIONS if self._keeps_lists else AMQP_OPTIONS
        self._connection = connection.clone(transport_options={**defaults, **self._options})
        connection.release()
        # As the worker declares it: see `celeryconfig`.
        arguments = None if self._keeps_lists else {"x-queue-type": "quorum"}
        exchange: Any = Exchange(QUEUE)
        channel = self._connection.channel()
        Queue(QUEUE, exchange, QUEUE, queue_arguments=arguments).bind(channel).declare()
        self._channel = channel

    def _publish(self, envelope: Envelope) -> None:
        message = self._channel.prepare_message(
            envelope.body,
            content_type="application/json",
            content_encoding="utf-8",
            headers=envelope.headers(),
            properties={"correlation_id": envelope.message_id, "delivery_mode": 2},
        )
        self._channel.basic_publish(message, exchange="", routing_key=QUEUE)

    def disconnect(self) -> None:
        """Close the connection; the next push opens another."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            connection.release()
