"""The queue on RabbitMQ, or on another broker of kombu's: one message after the other.

kombu is asked for by the extra `rabbitmq` and imported here alone.
"""

from __future__ import annotations

# The first connection asks for it; see `settle_client.producer` on what a fork does to that.
import encodings.idna  # noqa: F401
from functools import partial
from typing import TYPE_CHECKING, Any

from settle_client.envelope import CONTENT_ENCODING, CONTENT_TYPE, PERSISTENT
from settle_client.errors import AddressError
from settle_client.names import QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from settle_client.envelope import Envelope

CONFIRMS = {"confirm_publish": True}
# As the worker declares it.
ARGUMENTS = {"x-queue-type": "quorum"}


class KombuQueue:
    """The queue, for one thread at a time."""

    def __init__(self, url: str, *, min_replicas: int = 0, **options: Any) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: As Celery takes it.
            min_replicas: Means something to Redis alone.
            options: kombu's transport options.

        Raises:
            AddressError: kombu is not installed, or knows no such broker or option.
        """
        if min_replicas:
            # The driver would take it, and heed it not.
            raise AddressError(
                "only Redis has min_replicas: leave min_replicas out; what RabbitMQ confirms "
                "is on most of the nodes that its queue has"
            )
        try:
            from kombu.connection import Connection  # noqa: PLC0415 - see the module
            from kombu.entity import Exchange, Queue  # noqa: PLC0415
        except ImportError:
            raise AddressError(
                "a broker that is not Redis needs kombu: pip install settle-client[rabbitmq]"
            ) from None
        self._make_connection = partial(Connection, url, transport_options={**CONFIRMS, **options})
        try:
            self._make_connection().get_transport_cls()
        except (ImportError, KeyError):
            raise AddressError(f"no such kind of broker: {url.partition(':')[0]}") from None
        exchange: Any = Exchange(QUEUE)
        self._queue = Queue(QUEUE, exchange, QUEUE, queue_arguments=ARGUMENTS)
        self._connection: Any = None
        self._channel: Any = None
        self._is_pushing = False

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """Put messages into the queue, in order.

        Raises:
            Exception: Of the driver; it is not known which of them the broker has.
        """
        try:
            self._push(envelopes)
        except BaseException:
            self.close()
            raise

    def _push(self, envelopes: Sequence[Envelope]) -> None:
        self._is_pushing = True
        try:
            if self._channel is None:
                self._connect()
            for envelope in envelopes:
                self._publish(envelope)
        finally:
            self._is_pushing = False

    def _connect(self) -> None:
        self._connection = self._make_connection()
        # Whoever pushes tries again: kombu would once more, two seconds later.
        self._connection.ensure_connection(
            max_retries=1, interval_start=0, reraise_as_library_errors=False
        )
        channel = self._connection.channel()
        self._queue.bind(channel).declare()
        self._channel = channel

    def _publish(self, envelope: Envelope) -> None:
        message = self._channel.prepare_message(
            envelope.body,
            content_type=CONTENT_TYPE,
            content_encoding=CONTENT_ENCODING,
            headers=envelope.headers(),
            properties={"correlation_id": envelope.message_id, "delivery_mode": PERSISTENT},
        )
        self._channel.basic_publish(message, exchange="", routing_key=QUEUE)

    def close(self) -> None:
        """Close the connection; the next push opens another.

        From another thread while a push is under way, that push ends with an error.
        """
        connection, self._connection, self._channel = self._connection, None, None
        if connection is None:
            return
        if self._is_pushing and connection.connected:
            # A broker that does not answer that would not answer a farewell either.
            connection.collect()
        else:
            connection.release()


class AsyncKombuQueue:
    """The same for asyncio: each of its calls runs in a thread."""

    def __init__(self, url: str, **options: Any) -> None:
        """Prepare; see `KombuQueue`."""
        self._queue = KombuQueue(url, **options)

    async def push(self, envelopes: Sequence[Envelope]) -> None:
        """Put messages into the queue; see `KombuQueue`."""
        await _in_thread(self._queue.push, envelopes)

    async def close(self) -> None:
        """Close the connection."""
        await _in_thread(self._queue.close)


async def _in_thread(call: Callable[..., None], *arguments: Any) -> None:
    from asyncio import to_thread  # noqa: PLC0415 - the other face does without asyncio

    await to_thread(call, *arguments)
