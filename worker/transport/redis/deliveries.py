"""What our Redis transport delivers: as many messages as there are, answered at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.transport.delivery import Received, SetAside
from worker.transport.redis.items import salvage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from worker.transport.broker import Receiver
    from worker.transport.delivery import Delivery
    from worker.transport.redis.channel import Channel
    from worker.transport.redis.fetch import Fetched


class AtOnce:
    """The deliveries of one connection to Redis."""

    counts_returns = False

    def __init__(self, channel: Channel, receiver: Receiver) -> None:
        """Take what a channel fetches, before it has fetched anything."""
        self._channel = channel
        self._set_aside = receiver.set_aside
        channel.room, channel.take = receiver.room, receiver.take
        channel.is_overfull = receiver.is_overfull
        channel.on_set_aside = self._on_set_aside
        channel.last_deliveries = 1
        channel.on_renewed, channel.on_restored = receiver.renewed, receiver.restored

    @property
    def more_waiting(self) -> bool:
        """Return whether more messages are known to be at the broker."""
        return self._channel.more_waiting

    def account(self, delivery: Delivery) -> None:
        """Keep no books: the channel holds what it fetched."""

    def fit(self) -> None:
        """Leave it to the channel, which asks how much there is room for."""

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge messages in one round trip."""
        self._channel.ack_many([delivery.tag for delivery in deliveries])

    def give_back(
        self, deliveries: Sequence[Delivery], *, died: bool = False, no_room: bool = False
    ) -> None:
        """Put messages back in one step, at the end that is fetched first."""
        self._channel.give_back([delivery.tag for delivery in deliveries], died=died)

    def delay(self, delivery: Delivery, seconds: float, otherwise: Callable[[], None]) -> None:
        """Let Redis hold a message until its time has come."""
        fetched: Any = delivery.message if isinstance(delivery, Received) else delivery
        self._channel.delay(delivery.tag, fetched.source, seconds, otherwise)

    def trim(self, delivery: Received) -> int:
        """Forget the body: Redis has the item."""
        delivery.forget_body()
        return 0

    def park(self, delivery: Delivery) -> None:
        """Hold a message until its time has come: its lease is renewed for as long as it takes."""
        self._channel.park(delivery.tag)

    def unpark(self, delivery: Delivery) -> None:
        """Take up a message whose time has come."""
        self._channel.unpark(delivery.tag)

    def begin(self, deliveries: Sequence[Delivery]) -> AbstractContextManager[None]:
        """Let Redis know what is worked on from now on: only that is suspect, should it kill."""
        return self._channel.begin([delivery.tag for delivery in deliveries])

    def pause(self, deliveries: Sequence[Delivery]) -> None:
        """Hold messages for as long as it takes."""
        self._channel.pause([delivery.tag for delivery in deliveries])

    def resume(self, deliveries: Sequence[Delivery]) -> None:
        """Take up the work on paused messages."""
        self._channel.resume([delivery.tag for delivery in deliveries])

    def abandon(self) -> None:
        """Leave it to the channel, which is closed."""

    def _on_set_aside(self, fetched: Fetched, reason: str) -> None:
        source, tag, item, size = fetched
        headers, properties = salvage(item)
        aside = SetAside(item, source.queue, tag, headers, properties, size)
        self._set_aside(Received(aside), reason)
