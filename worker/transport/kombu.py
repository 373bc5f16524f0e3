"""Any other broker that kombu knows: settled as truly, and without the speed.

Each message is acknowledged by itself, and how much is fetched is Celery's prefetch
count. It is looked at by way of kombu, as workers reach it.
"""

from __future__ import annotations

import math
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from kombu.connection import Connection

from service.finding import Finding, ok
from settle_client.names import QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from service.settings import Settings
    from worker.transport.broker import Deliveries, Receiver
    from worker.transport.delivery import Delivery, Received

logger = get_logger(__name__)

ANSWER_SECONDS = 3
NOT_FOUND = "404"


def server(connection: Any) -> Finding:
    """Say what it is."""
    properties = getattr(connection.connection, "server_properties", {})
    name = f"{properties.get('product', '')} {properties.get('version', '')}".strip()
    return ok(name or f"answers ({connection.transport.driver_type})")


def backlog(connection: Any) -> Finding:
    """Say how much waits."""
    queue = look_at_queue(connection)
    if queue is None:
        return ok("the queue is not there yet; the first worker declares it")
    return ok(f"{queue.message_count:,} messages waiting, {queue.consumer_count} consumers")


def look_at_queue(connection: Any) -> Any:
    """Return the queue's counts of messages and consumers, None if it is not there."""
    try:
        with connection.channel() as channel:
            return channel.queue_declare(QUEUE, passive=True)
    except connection.channel_errors as error:
        # A number as RabbitMQ says it, a text where kombu is the broker.
        if str(getattr(error, "reply_code", "")) != NOT_FOUND:
            raise
        return None


class AnyOther:
    """A broker of which nothing is known but that kombu reaches it."""

    name = "kombu"
    has_leases = False
    queue_arguments: Mapping[str, Any] | None = None
    onlooker_options: Mapping[str, Any] = {}
    checks: Sequence[Callable[[Any], Finding]] = (server, backlog)

    def transport_options(self, settings: Settings) -> dict[str, Any]:
        """Return none."""
        return {}

    def install(self) -> None:
        """Leave kombu's own transport as it is."""

    @contextmanager
    def reach(self, settings: Settings) -> Iterator[Any]:
        """Connect, to look at it, and see that it answers."""
        patience = {"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}
        make: Any = Connection
        with make(
            settings.broker_url, connect_timeout=ANSWER_SECONDS, transport_options=patience
        ) as connection:
            connection.connect()
            yield connection

    def waiting(self, server: Any) -> tuple[float, float]:
        """Return how many messages wait; since when is not known."""
        queue = look_at_queue(server)
        return (queue.message_count if queue is not None else 0), math.nan

    def delayed(self, server: Any) -> float:
        """Return none: workers hold them."""
        return 0

    def reaches(self, producer: Any, publication: dict[str, Any]) -> bool:
        """Publish something, and suppose that somebody was there."""
        producer.publish(**publication)
        return True

    def deliveries(self, consumer: Any, receiver: Receiver) -> Deliveries:
        """Begin with a new connection."""
        return OneByOne(consumer)


class OneByOne:
    """Deliveries that are answered one by one, each by its own message."""

    counts_returns = False
    more_waiting = False

    def __init__(self, consumer: Any) -> None:
        """Answer by the channel of a consumer's connection."""
        self._consumer, self._channel = consumer, consumer.connection.default_channel

    def account(self, delivery: Delivery) -> None:
        """Keep no books: kombu does."""

    def fit(self) -> None:
        """Leave it at Celery's prefetch count."""

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Let the broker remove messages that are done."""
        for delivery in deliveries:
            self._message(delivery).ack_log_error(logger, self._consumer.connection_errors)

    def give_back(
        self, deliveries: Sequence[Delivery], *, died: bool = False, no_room: bool = False
    ) -> None:
        """Put messages back into their queue."""
        for delivery in deliveries:
            errors = self._consumer.connection_errors
            self._message(delivery).reject_log_error(logger, errors, requeue=True)

    def delay(self, delivery: Delivery, seconds: float, otherwise: Callable[[], None]) -> None:
        """Leave it here, as Celery does, for the broker has no way to delay."""
        otherwise()

    def trim(self, delivery: Received) -> int:
        """Forget the body: nothing of it is sent again."""
        delivery.forget_body()
        return 0

    def park(self, delivery: Delivery) -> None:
        """Hold it, for the broker has nothing to do."""

    def unpark(self, delivery: Delivery) -> None:
        """Take it up, for the broker has nothing to do."""

    def begin(self, deliveries: Sequence[Delivery]) -> AbstractContextManager[None]:
        """Keep no books: no broker but ours tells the suspects from the others."""
        return nullcontext()

    def pause(self, deliveries: Sequence[Delivery]) -> None:
        """Hold them, for the broker has nothing to do."""

    def resume(self, deliveries: Sequence[Delivery]) -> None:
        """Take them up, for the broker has nothing to do."""

    def abandon(self) -> None:
        """Leave it to kombu."""

    def _message(self, delivery: Delivery) -> Any:
        return delivery.to_message(self._channel)
