"""Which broker a URL means, and that each keeps to the protocol."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from service.settings import Settings
from worker.transport.broker import Broker, Deliveries, Receiver, broker_of
from worker.transport.delivery import Delivery, RawDelivery, Received
from worker.transport.kombu import AnyOther, OneByOne
from worker.transport.rabbitmq.broker import RabbitMQ
from worker.transport.rabbitmq.deliveries import InRuns
from worker.transport.redis.broker import Redis, Sentinels
from worker.transport.redis.deliveries import AtOnce
from worker.transport.redis.fetch import Fetched

# For the type checker: `broker_of` finds them by name.
BROKERS: tuple[type[Broker], ...] = (Redis, Sentinels, RabbitMQ, AnyOther)
DELIVERIES: tuple[type[Deliveries], ...] = (AtOnce, InRuns, OneByOne)
RAW: type[RawDelivery] = Fetched
BY_KOMBU: type[Delivery] = Received


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://h", Redis),
        ("REDISS://h", Redis),
        ("sentinel://h;sentinel://i", Sentinels),
        ("amqp://h", RabbitMQ),
        ("amqps://h", RabbitMQ),
        ("pyamqp://h", RabbitMQ),
        ("memory://", AnyOther),
        ("sqs://k:s@", AnyOther),
        ("nonsense", AnyOther),
    ],
)
def test_a_url_means_one_kind_of_broker(url: str, broker: type[Broker]) -> None:
    """By its scheme, in whatever case; any that is not known is kombu's."""
    assert type(broker_of(url)) is broker


def settings(url: str) -> Settings:
    """Make settings with a broker."""
    values: dict[str, Any] = {"CELERY_BROKER_URL": url, "outcome_url": "redis://127.0.0.1"}
    return Settings(**values, lease_seconds=7, sentinel_master="m")


def test_a_lease_is_a_matter_of_redis_alone() -> None:
    """Elsewhere a message is its worker's for as long as the connection lives."""
    of_redis = Redis().transport_options(settings("redis://h"))
    assert (of_redis["visibility_timeout"], of_redis["master_name"]) == (7, "m")
    for broker in (RabbitMQ(), AnyOther()):
        assert not broker.has_leases
        assert "visibility_timeout" not in broker.transport_options(settings("amqp://h"))


def test_what_looks_on_gives_nothing_back() -> None:
    """Kombu's transport would, after an hour, for whoever is connected."""
    assert Redis().onlooker_options["visibility_timeout"] > 365 * 24 * 3600
    assert RabbitMQ().onlooker_options == {}


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
