"""What a broker is told about messages: that they are done, come back, or wait.

Redis by our own transport and RabbitMQ take many answers at once; any other
transport is answered one by one. Which messages are answered how, and when, is
the strategy's. Everything here runs in the consumer's thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from celery.worker import state

from worker.transport.rabbitmq import Deliveries, is_amqp
from worker.transport.redis import Channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.batching.held import Held, Room

logger = get_logger(__name__)


class Answers:
    """The answers to what one connection delivers."""

    def __init__(self, consumer: Any) -> None:
        """Answer one by one until there is a channel that can do better."""
        self._consumer = consumer
        self.channel: Channel | None = None
        self._amqp: Deliveries | None = None

    def attach(self, channel: Any, room: Room) -> None:
        """Use what a channel offers.

        Args:
            channel: The one that messages will come from, before any has.
            room: How much more may be held.
        """
        if isinstance(channel, Channel):
            self.channel = channel
        elif is_amqp(channel):
            self._amqp = Deliveries(self._consumer, room)

    @property
    def _many(self) -> Any:
        """Return what takes many answers at once, if anything does."""
        return self.channel or self._amqp

    @property
    def more_waiting(self) -> bool:
        """Return whether more messages are known to be at the broker."""
        return self.channel is not None and self.channel.more_waiting

    @property
    def counts_returns(self) -> bool:
        """Return whether the broker takes a message for bad that often goes back to it."""
        return self._amqp is not None

    def took(self, tag: Any) -> None:
        """Take note of a delivery."""
        if self._amqp is not None:
            self._amqp.took(tag)

    def forget(self, tag: Any) -> None:
        """Take note of a delivery that Celery has answered."""
        if self._amqp is not None:
            self._amqp.forget(tag)

    def adapt(self) -> None:
        """See to it that as many messages are fetched as there is room for."""
        if self._amqp is not None:
            self._amqp.adapt()

    def acknowledge(self, items: Sequence[Held]) -> float:
        """Tell that messages are done, and return how many seconds that took."""
        started = time.monotonic()
        if self._many is not None:
            self._many.ack_many([held.tag for held in items])
        else:
            for held in items:
                held.delivered.ack_log_error(logger, self._consumer.connection_errors)
        for held in items:
            if held.request is not None:
                state.task_ready(held.request, successful=True)
        return time.monotonic() - started

    def give_back(self, items: Sequence[Held], *, died: bool = False) -> None:
        """Put messages back into their queue.

        Args:
            items: In order.
            died: Whether who worked on them died of it, perhaps.
        """
        if self._many is not None:
            self._many.give_back([held.tag for held in items], died=died)
        else:
            for held in items:
                errors = self._consumer.connection_errors
                held.delivered.reject_log_error(logger, errors, requeue=True)
        for held in items:
            if held.request is not None:
                state.task_ready(held.request)

    def park(self, tag: Any) -> None:
        """Hold a message until its time has come."""
        if self._many is not None:
            self._many.park(tag)

    def unpark(self, tag: Any) -> None:
        """Work on a message whose time has come."""
        if self._many is not None:
            self._many.unpark(tag)

    def wait_with(self, items: Sequence[Held], *, waiting: bool) -> None:
        """Hold messages on which nobody works for a while, or work on them again."""
        if self.channel is not None:
            for held in items:
                (self.channel.park if waiting else self.channel.unpark)(held.tag)
