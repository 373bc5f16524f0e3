"""What the service needs of any broker, and which one a URL means.

A kind of broker is a folder beside this module and one line of `BROKERS`. `Broker`
is what is the same for every connection: how Celery is set up for it, and how it is
looked at. `Deliveries` is one connection: what comes, and how it is answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from service.addresses import scheme_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from service.finding import Finding
    from service.settings import Settings
    from worker.transport.delivery import Delivery, RawDelivery, Received


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who takes what a connection delivers; everything is called in the consumer's thread.

    Attributes:
        room: Returns how many more messages there is room for.
        capacity: Returns how many there would be room for if none were held.
        take: Is offered raw deliveries in order, and returns how many of the first it
            has taken; the others are delivered one by one, by way of kombu.
        is_overfull: Returns whether far more is held than there is room for; what is fetched
            and not yet taken is given back then.
        set_aside: Takes what is not delivered, and why.
        renewed: Counts leases that were renewed.
        restored: Counts messages of dead workers that were put back.
    """

    room: Callable[[], int]
    capacity: Callable[[], int]
    take: Callable[[Iterable[RawDelivery]], int]
    is_overfull: Callable[[], bool]
    set_aside: Callable[[Received, str], None]
    renewed: Callable[[int], None]
    restored: Callable[[int], None]


class Deliveries(Protocol):
    """What one connection delivers, and how the broker is answered.

    Everything runs in the consumer's thread, which alone may use the channel.
    """

    @property
    def counts_returns(self) -> bool:
        """Return whether the broker takes a message for bad that often goes back to it."""
        ...

    @property
    def more_waiting(self) -> bool:
        """Return whether more messages are known to be at the broker."""
        ...

    def account(self, delivery: Delivery) -> None:
        """Account for a delivery that came by way of kombu."""
        ...

    def fit(self) -> None:
        """See to it that as many messages are fetched as there is room for."""
        ...

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Let the broker remove messages that are done."""
        ...

    def give_back(
        self, deliveries: Sequence[Delivery], *, died: bool = False, no_room: bool = False
    ) -> None:
        """Put messages back into their queue.

        Args:
            deliveries: In order.
            died: Whether who worked on them died of it, perhaps.
            no_room: Whether there is no room for them: then none is fetched before there is.
        """
        ...

    def delay(self, delivery: Delivery, seconds: float, otherwise: Callable[[], None]) -> None:
        """Let the broker hold a message, and deliver it anew when its time has come.

        Args:
            delivery: Accounted for; it is answered by this.
            seconds: From now until then, more than none.
            otherwise: Called, at once or later, if the broker cannot: it stays here.
        """
        ...

    def trim(self, delivery: Received) -> int:
        """Forget of a message what is not needed to delay it; return how many bytes are kept."""
        ...

    def park(self, delivery: Delivery) -> None:
        """Hold a message here until its time has come, however long that takes."""
        ...

    def unpark(self, delivery: Delivery) -> None:
        """Take up a message whose time has come."""
        ...

    def begin(self, deliveries: Sequence[Delivery]) -> AbstractContextManager[None]:
        """Note that the work on messages begins: should the worker die of it, they are suspect.

        Returns:
            What to hand them over to a slot in.
        """
        ...

    def pause(self, deliveries: Sequence[Delivery]) -> None:
        """Hold messages on which nobody works for a while, which is not their fault."""
        ...

    def resume(self, deliveries: Sequence[Delivery]) -> None:
        """Take up the work on paused messages."""
        ...

    def abandon(self) -> None:
        """Answer nothing any more: the connection is lost, or the worker stops."""
        ...


class Broker(Protocol):
    """A kind of broker."""

    @property
    def name(self) -> str:
        """Return what OpenTelemetry calls it."""
        ...

    @property
    def has_leases(self) -> bool:
        """Return whether a worker that says nothing for a while loses its messages to another."""
        ...

    @property
    def queue_arguments(self) -> Mapping[str, Any] | None:
        """Return with which arguments producers and workers declare the queue."""
        ...

    @property
    def onlooker_options(self) -> Mapping[str, Any]:
        """Return kombu's transport options for who looks on and must change nothing."""
        ...

    @property
    def checks(self) -> Sequence[Callable[[Any], Finding]]:
        """Return what the doctor checks of it, each a function of what `reach` gives."""
        ...

    def transport_options(self, settings: Settings) -> dict[str, Any]:
        """Return kombu's transport options for a worker."""
        ...

    def install(self) -> None:
        """Prepare this process for being a worker on it; once, before connecting."""
        ...

    def reach(self, settings: Settings) -> AbstractContextManager[Any]:
        """Connect, to look at it, and see that it answers."""
        ...

    def waiting(self, server: Any) -> tuple[float, float]:
        """Return how many messages wait, and for how many seconds the oldest does.

        Args:
            server: What `reach` gives.
        """
        ...

    def delayed(self, server: Any) -> float:
        """Return how many messages the broker holds until their time has come.

        Args:
            server: What `reach` gives.
        """
        ...

    def reaches(self, producer: Any, publication: dict[str, Any]) -> bool:
        """Publish something to monitors; return False only if nobody was there.

        Args:
            producer: One of kombu's.
            publication: What its `publish` takes.
        """
        ...

    def deliveries(self, consumer: Any, receiver: Receiver) -> Deliveries:
        """Begin with a new connection.

        Args:
            consumer: Celery's, connected, not yet consuming.
            receiver: Who takes what comes.
        """
        ...


BROKERS: Final = {
    "redis": "worker.transport.redis.broker:Redis",
    "rediss": "worker.transport.redis.broker:Redis",
    "redis+socket": "worker.transport.redis.broker:Socket",
    "sentinel": "worker.transport.redis.broker:Redis",
    "redis+cluster": "worker.transport.redis.broker:Cluster",
    "rediss+cluster": "worker.transport.redis.broker:Cluster",
    "amqp": "worker.transport.rabbitmq.broker:RabbitMQ",
    "amqps": "worker.transport.rabbitmq.broker:RabbitMQ",
    "pyamqp": "worker.transport.rabbitmq.broker:RabbitMQ",
}
ANY_OTHER: Final = "worker.transport.kombu:AnyOther"


def broker_of(url: str) -> Broker:
    """Return the kind of broker that a URL means; the only place that decides it."""
    module, _, name = BROKERS.get(scheme_of(url), ANY_OTHER).partition(":")
    broker: Broker = getattr(import_module(module), name)()
    return broker
