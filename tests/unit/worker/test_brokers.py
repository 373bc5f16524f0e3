"""Which broker a URL means, how Celery is set up for it, and that each keeps to the protocol."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from service.settings import Settings
from worker.transport.broker import BROKERS, Broker, Deliveries, Receiver, broker_of
from worker.transport.delivery import Delivery, RawDelivery, Received
from worker.transport.kombu import AnyOther, OneByOne
from worker.transport.rabbitmq.broker import RabbitMQ
from worker.transport.rabbitmq.deliveries import InRuns
from worker.transport.redis.broker import Redis, Sentinels, Socket
from worker.transport.redis.deliveries import AtOnce
from worker.transport.redis.fetch import Fetched

# The annotations are checked too: `broker_of` looks brokers up by name, which hides their types.
DELIVERIES: tuple[type[Deliveries], ...] = (AtOnce, InRuns, OneByOne)
RAW: type[RawDelivery] = Fetched
BY_KOMBU: type[Delivery] = Received
KINDS: list[tuple[str, Broker]] = [
    ("redis://localhost", Redis()),
    ("rediss://localhost", Redis()),
    ("redis+socket:///run/redis.sock", Socket()),
    ("sentinel://one;sentinel://two", Sentinels()),
    ("amqp://localhost", RabbitMQ()),
    ("AMQPS://one;amqps://two", RabbitMQ()),
    ("pyamqp://localhost", RabbitMQ()),
    ("memory://", AnyOther()),
    ("", AnyOther()),
]


@pytest.mark.parametrize(("url", "kind"), KINDS, ids=[url or "empty" for url, _ in KINDS])
def test_a_url_means_a_broker(url: str, kind: Broker) -> None:
    """Its scheme says which, however it is written; of what is unknown kombu may know more."""
    assert type(broker_of(url)) is type(kind)


def test_every_kind_of_url_is_tried() -> None:
    """A broker that is added is added here too."""
    assert BROKERS.keys() <= {url.partition(":")[0].lower() for url, _ in KINDS}


def test_only_a_queue_of_rabbitmq_has_arguments() -> None:
    """On Redis what stock producers declare is what workers declare."""
    arguments = {kind.name: kind.queue_arguments for _, kind in KINDS}
    assert arguments == {"redis": None, "rabbitmq": {"x-queue-type": "quorum"}, "kombu": None}


def test_a_lease_is_what_kombu_calls_a_visibility_timeout() -> None:
    """For a worker it is the setting; whoever looks on ends no lease in years."""
    options = Redis().transport_options(Settings(lease_seconds=7))
    assert options["visibility_timeout"] == 7
    assert Redis().onlooker_options["visibility_timeout"] > 10**8
    assert RabbitMQ().onlooker_options == AnyOther().onlooker_options == {}


def nothing(*_: Any) -> Any:
    """Take whatever comes."""


class Message:
    """A message as kombu makes it, which remembers its answers."""

    def __init__(self) -> None:
        self.answers: list[Any] = []

    def ack_log_error(self, *_: Any) -> None:
        """Be acknowledged."""
        self.answers.append("acknowledged")

    def reject_log_error(self, *_: Any, requeue: bool) -> None:
        """Be given back, or dropped."""
        self.answers.append("given back" if requeue else "dropped")


def test_any_other_broker_is_answered_one_by_one() -> None:
    """By the messages themselves, which know how."""
    consumer = SimpleNamespace(
        connection=SimpleNamespace(default_channel=None), connection_errors=()
    )
    receiver = Receiver(lambda: 1, lambda: 1, lambda _: 0, nothing, nothing, nothing)
    deliveries = AnyOther().deliveries(consumer, receiver)
    first, second = Message(), Message()
    deliveries.acknowledge([Received(first)])
    deliveries.give_back([Received(second)])
    assert (first.answers, second.answers) == (["acknowledged"], ["given back"])
    assert not deliveries.more_waiting
    assert not deliveries.counts_returns
