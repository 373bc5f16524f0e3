"""What the strategy needs of RabbitMQ: to acknowledge at once, and to hold what it has room for.

RabbitMQ pushes messages up to a prefetch count, in messages, that a consumer of a
quorum queue has for life. How many updates they carry shows only when they are
here. So the consumer begins with few, and is replaced by one with another count
when the messages turn out to be smaller or larger: docs/adr/0007-rabbitmq.md.

Everything here runs in the consumer's thread, which alone may use the channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from kombu.transport import pyamqp

from settle_client.names import QUEUE
from worker.transport.outstanding import Outstanding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.batching.held import Room

logger = get_logger(__name__)

# How much another number of messages must fit before the consumer is replaced.
WORTH_IT = 2


def is_amqp(channel: Any) -> bool:
    """Return whether a channel is one of RabbitMQ's."""
    return isinstance(channel, pyamqp.Channel)


class Deliveries:
    """The deliveries of one connection to RabbitMQ."""

    def __init__(self, consumer: Any, room: Room) -> None:
        """Begin with as many messages as there is room for if they are of the largest."""
        self._consumer = consumer
        self._channel = consumer.task_consumer.channel
        self._room = room
        self._outstanding = Outstanding()
        self._parked = 0
        self._replacing = False
        self._prefetch = max(1, room.messages(0))
        self._set_prefetch()

    def _set_prefetch(self) -> None:
        self._consumer.task_consumer.qos(prefetch_count=self._prefetch, apply_global=False)

    def took(self, tag: int) -> None:
        """Take note of a delivery."""
        self._outstanding.took(tag)

    def forget(self, tag: int) -> None:
        """Take note that a delivery was acknowledged by somebody else."""
        self._outstanding.forget([tag])

    def ack_many(self, tags: Iterable[int]) -> None:
        """Acknowledge messages, by their delivery tags."""
        for tag, multiple in self._outstanding.done(tags):
            self._channel.basic_ack(tag, multiple=multiple)

    def give_back(self, tags: Iterable[int], *, died: bool = False) -> None:
        """Put messages back; a quorum queue counts that, whatever the reason."""
        tags = list(tags)
        self._outstanding.forget(tags)
        for tag in tags:
            self._channel.basic_reject(tag, requeue=True)

    def park(self, _: int) -> None:
        """Take note of a message that waits for its time, and of its place in the prefetch."""
        self._parked += 1
        self.adapt()

    def unpark(self, _: int) -> None:
        """A parked message is worked on."""

    def adapt(self) -> None:
        """See to it that as many messages are fetched as there is room for."""
        wanted = max(1, self._room.messages(0))
        is_other = not self._prefetch / WORTH_IT < wanted < self._prefetch * WORTH_IT
        # What waits for its time takes up the old consumer's prefetch for good.
        if (is_other or self._parked * WORTH_IT >= self._prefetch) and not self._replacing:
            self._replacing = True
            self._consumer.call_soon(self._replace, wanted)

    def _replace(self, wanted: int) -> None:
        self._replacing = False
        consumer = self._consumer.task_consumer
        if consumer is None or not consumer.consuming_from(QUEUE):
            return
        consumer.cancel()
        self._prefetch, self._parked = wanted, 0
        self._set_prefetch()
        consumer.consume()
        logger.debug("prefetch changed", extra={"messages": wanted})
