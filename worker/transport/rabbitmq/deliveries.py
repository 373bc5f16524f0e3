"""What RabbitMQ delivers: acknowledged in runs, and as much of it as there is room for.

RabbitMQ pushes messages up to a prefetch count, in messages, that a consumer of a
quorum queue has for life. How many updates they carry shows only when they are
here. So the consumer begins with one, and is replaced by one with another count
when the messages turn out to be smaller or larger: docs/adr/0007-rabbitmq.md.

When a worker dies RabbitMQ counts that against everything that it held. So what came
back often is fetched alone, before there is any company that would be counted too.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from amqp.exceptions import RecoverableConnectionError
from celery.utils.log import get_logger

from settle_client.names import QUEUE
from worker.transport.delivery import DELIVERY_COUNT, size_of
from worker.transport.rabbitmq.copies import restore
from worker.transport.rabbitmq.frames import acknowledgements
from worker.transport.rabbitmq.moving import Move, Mover
from worker.transport.rabbitmq.outstanding import Outstanding
from worker.transport.rabbitmq.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from worker.transport.broker import Receiver
    from worker.transport.delivery import Delivery, Received
    from worker.transport.rabbitmq.pushed import Pushed

logger = get_logger(__name__)

# How much another number of messages must fit before the consumer is replaced.
WORTH_IT = 2
# How often a message came back when it is fetched alone.
SUSPECT_AFTER = 3
# How many that wait for their time are held here and made up for, when RabbitMQ cannot.
MOST_PARKED = 10_000


class InRuns:
    """The deliveries of one connection to RabbitMQ."""

    counts_returns = True

    def __init__(self, consumer: Any, receiver: Receiver) -> None:
        """Begin with one message: it may be what the worker before died of."""
        self._consumer = consumer
        self._channel = consumer.connection.default_channel
        self._room, self._capacity = receiver.room, receiver.capacity
        self._take = receiver.take
        self._reading: Reading | None = None
        self._outstanding = Outstanding()
        self._suspects: set[Any] = set()
        self._parked = self._parked_in_all = 0
        self._mover = Mover(self._connect, partial(consumer.call_soon, self._on_moved))
        self._abandoned = False
        self._replacing = self._holds_off = False
        self._prefetch = 1
        # Celery sets it in a moment, before it consumes.
        consumer.initial_prefetch_count = self._prefetch

    def start(self) -> None:
        """See to it that messages can be delayed, and read in batches."""
        self._mover.start()
        self._reading = Reading(
            self._channel, self._account_pushed, self._take, self._consumer.call_soon
        )
        self._reading.install()

    @property
    def more_waiting(self) -> bool:
        """Return whether more messages have arrived than were looked at."""
        return self._reading is not None and self._reading.more_arrived

    def _account_pushed(self, pushed: Sequence[Pushed]) -> None:
        for one in pushed:
            self._outstanding.add(one.tag)

    def account(self, delivery: Delivery) -> None:
        """Account for a delivery; tags come in ascending order."""
        self._outstanding.add(delivery.tag)
        count = delivery.headers().get(DELIVERY_COUNT)
        if isinstance(count, int) and count >= SUSPECT_AFTER:
            self._suspects.add(delivery.tag)
        restore(delivery.to_message(self._channel))

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge messages in one write, and in as few frames as can be."""
        answers = self._outstanding.done(delivery.tag for delivery in deliveries)
        if answers:
            self._write(acknowledgements(self._channel.channel_id or 0, answers))
        self._suspects.difference_update(delivery.tag for delivery in deliveries)
        if self._holds_off:
            self._consumer.call_soon(self.fit)

    def _write(self, frames: bytes) -> None:
        connection = self._channel.connection
        if connection is None:
            raise RecoverableConnectionError("connection already closed")
        # Past py-amqp, which writes frame by frame.
        connection.transport.write(frames)
        connection.bytes_sent += 1

    def give_back(
        self, deliveries: Sequence[Delivery], *, died: bool = False, no_room: bool = False
    ) -> None:
        """Put messages back; a quorum queue counts that, whatever the reason."""
        tags = [delivery.tag for delivery in deliveries]
        if no_room:
            # RabbitMQ would deliver them again at once, until that had been too often.
            self._consumer.call_soon(self._hold_off, tags)
        else:
            self._reject(tags)

    def _hold_off(self, tags: Sequence[Any]) -> None:
        if self._abandoned:
            return
        self._holds_off = True
        if self._consumer.task_consumer is not None:
            self._consumer.task_consumer.cancel()
        self._reject(tags)
        self.fit()

    def _reject(self, tags: Sequence[Any]) -> None:
        self._outstanding.forget(tags)
        self._suspects.difference_update(tags)
        for tag in tags:
            self._channel.basic_reject(tag, requeue=True)

    def delay(self, delivery: Delivery, seconds: float, otherwise: Callable[[], None]) -> None:
        """Let RabbitMQ hold a message until its time has come; acknowledged when it does."""
        self._mover.add(Move(delivery, time.monotonic() + seconds, otherwise))

    def trim(self, delivery: Received) -> int:
        """Keep the body, to send it again, but no expanded one: that may be far larger."""
        if "compression" in delivery.headers():
            delivery.forget_body()
        return size_of(delivery.message.body)

    def _connect(self, **options: Any) -> Any:
        return self._consumer.app.connection_for_write(**options)

    def _on_moved(self, moved: list[Move], stay: list[Move]) -> None:
        if self._abandoned:
            return
        self.acknowledge([move.delivery for move in moved])
        for move in stay:
            move.otherwise()

    def park(self, delivery: Delivery) -> None:
        """Account for a message that waits for its time here, and for its place in the prefetch."""
        self._parked += 1
        self._suspects.discard(delivery.tag)
        self._parked_in_all += 1
        self.fit()

    def unpark(self, delivery: Delivery) -> None:
        """Take it up: its place in the prefetch was made up for."""
        self._parked_in_all -= 1

    def begin(self, deliveries: Sequence[Delivery]) -> AbstractContextManager[None]:
        """Keep no books: RabbitMQ counts whatever comes back."""
        return nullcontext()

    def pause(self, deliveries: Sequence[Delivery]) -> None:
        """Hold them: RabbitMQ waits for as long as the connection lives."""

    def resume(self, deliveries: Sequence[Delivery]) -> None:
        """Take them up: RabbitMQ has waited."""

    def fit(self) -> None:
        """See to it that as many messages are fetched as there is room for."""
        room = self._capacity()
        wanted = 1 if self._suspects else max(1, room)
        is_other = not self._prefetch / WORTH_IT < wanted < self._prefetch * WORTH_IT
        # What waits for its time takes up the old consumer's prefetch for good.
        is_taken = self._parked * WORTH_IT >= self._prefetch
        is_taken &= room > 0 and self._parked_in_all < MOST_PARKED
        if self._holds_off:
            is_other, is_taken = self._room() > 0, False
        if (is_other or is_taken) and not self._replacing:
            self._replacing = True
            self._consumer.call_soon(self._replace, wanted)

    def _replace(self, wanted: int) -> None:
        self._replacing = False
        consumer = self._consumer.task_consumer
        if consumer is None or not (self._holds_off or consumer.consuming_from(QUEUE)):
            return
        consumer.cancel()
        self._holds_off = False
        self._prefetch, self._parked = wanted, 0
        consumer.qos(prefetch_count=wanted, apply_global=False)
        consumer.consume()
        logger.debug("prefetch changed", extra={"messages": wanted})

    def abandon(self) -> None:
        """Answer nothing any more, and move nothing."""
        self._abandoned = True
        self._mover.close()
