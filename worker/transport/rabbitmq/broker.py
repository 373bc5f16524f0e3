"""RabbitMQ as a broker: a quorum queue, looked at by way of kombu."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.transport.kombu import AnyOther
from worker.transport.rabbitmq import checks, delay_queues, properties
from worker.transport.rabbitmq.deliveries import InRuns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from service.finding import Finding
    from worker.transport.broker import Deliveries, Receiver


class RabbitMQ(AnyOther):
    """One node, or a cluster of them."""

    name = "rabbitmq"
    checks: Sequence[Callable[[Any], Finding]] = checks.CHECKS
    # Replicated, and counts deliveries. No other arguments: producers declare it too.
    queue_arguments: Mapping[str, Any] | None = {"x-queue-type": "quorum"}

    def install(self) -> None:
        """Let no message's properties end the connection."""
        properties.install()

    def delayed(self, server: Any) -> float:
        """Return how many messages wait for their time."""
        return delay_queues.count(server)

    def deliveries(self, consumer: Any, receiver: Receiver) -> Deliveries:
        """Begin with a new connection."""
        deliveries = InRuns(consumer, receiver)
        deliveries.start()
        return deliveries
