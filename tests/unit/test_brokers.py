"""Which broker a URL means, and how Celery is set up for it."""

from __future__ import annotations

import pytest

from service.settings import Settings
from worker.transport.broker import BROKERS, Broker, broker_of
from worker.transport.kombu import AnyOther
from worker.transport.rabbitmq.broker import RabbitMQ
from worker.transport.redis.broker import Redis, Sentinels, Socket

# The annotation is checked too: `broker_of` looks them up by name, which hides their types.
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
