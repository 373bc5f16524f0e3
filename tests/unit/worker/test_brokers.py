"""Which broker a URL means, how Celery is set up for it, and that each keeps to the protocol."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kombu.message import Message as KombuMessage
from kombu.transport import memory
from kombu.transport.virtual.base import BrokerState

from service.settings import Settings
from settle_client.names import QUEUE
from tests.items import fetched
from worker.transport.broker import BROKERS, Broker, Deliveries, Receiver, broker_of
from worker.transport.delivery import Delivery, RawDelivery, Received
from worker.transport.kombu import AnyOther, OneByOne
from worker.transport.rabbitmq.broker import RabbitMQ
from worker.transport.rabbitmq.deliveries import InRuns
from worker.transport.redis.broker import Cluster, Redis, Socket
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
    ("sentinel://one;sentinel://two", Redis()),
    ("redis+cluster://one;redis+cluster://two", Cluster()),
    ("REDISS+CLUSTER://localhost", Cluster()),
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


@pytest.mark.parametrize(
    "kind", [kind for _, kind in KINDS], ids=[url or "empty" for url, _ in KINDS]
)
def test_only_who_counts_all_that_listen_says_that_nobody_does(kind: Broker) -> None:
    """One server of Redis does; a node of a cluster counts its own clients, others count none."""
    published: list[str] = []
    channel = SimpleNamespace(heard_by=0)
    producer = SimpleNamespace(channel=channel, publish=lambda *, body: published.append(body))
    assert kind.reaches(producer, {"body": "a"}) is not (type(kind) in {Redis, Socket})
    channel.heard_by = 1
    assert kind.reaches(producer, {"body": "b"})
    assert published == ["a", "b"]


def test_who_looks_on_waits_for_less_long_than_a_worker() -> None:
    """Somebody watches a screen that stands still meanwhile."""
    for kind in (Redis(), Cluster()):
        worker = kind.transport_options(Settings())
        assert kind.onlooker_options["socket_timeout"] < worker["socket_timeout"]


def test_only_a_queue_of_rabbitmq_has_arguments() -> None:
    """On Redis what stock producers declare is what workers declare."""
    arguments = {kind.name: kind.queue_arguments for _, kind in KINDS}
    assert arguments == {"redis": None, "rabbitmq": {"x-queue-type": "quorum"}, "kombu": None}


def test_nobody_on_redis_restores_by_kombus_own_transport() -> None:
    """A worker has its lease from the setting; `celery inspect`, given the same, has none."""
    options = Redis().transport_options(Settings(lease_seconds=7))
    assert options["lease_seconds"] == 7
    assert options["visibility_timeout"] > 10**8
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
    receiver = Receiver(lambda: 1, lambda: 1, lambda _: 0, bool, nothing, nothing, nothing)
    deliveries = AnyOther().deliveries(consumer, receiver)
    first, second = Message(), Message()
    deliveries.acknowledge([Received(first)])
    deliveries.give_back([Received(second)])
    assert (first.answers, second.answers) == (["acknowledged"], ["given back"])
    assert not deliveries.more_waiting
    assert not deliveries.counts_returns


class GoneChannel:
    """A channel whose connection is lost."""

    no_ack_consumers = None

    def basic_ack(self, *_: Any, **__: Any) -> None:
        """Fail."""
        raise ConnectionResetError

    basic_reject = basic_ack


def test_an_answer_on_a_lost_connection_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The broker delivers the message again; the log has a line."""
    consumer = SimpleNamespace(
        connection=SimpleNamespace(default_channel=None), connection_errors=(ConnectionError,)
    )
    deliveries, make = OneByOne(consumer), cast("Any", KombuMessage)
    deliveries.acknowledge([Received(make(channel=GoneChannel(), delivery_tag="a"))])
    deliveries.give_back([Received(make(channel=GoneChannel(), delivery_tag="b"))])
    assert len(caplog.records) == 2


def test_a_broker_that_kombu_has_in_memory_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first worker has declared the queue, and after."""
    # It is one for the whole process, and other tests use it too.
    make_state: Any = BrokerState
    monkeypatch.setattr(memory.Transport, "global_state", make_state())
    monkeypatch.setattr(memory.Channel, "queues", {})
    broker = AnyOther()
    settings = Settings.model_construct(**{**Settings().model_dump(), "broker_url": "memory://"})
    with broker.reach(settings) as connection:
        server, backlog = (check(connection).found for check in broker.checks)
        assert server == "answers (memory)"
        assert backlog == "the queue is not there yet; the first worker declares it"
        count, age = broker.waiting(connection)
        assert (count, math.isnan(age)) == (0, True)
        queue = connection.SimpleQueue(QUEUE)
        try:
            for number in range(3):
                queue.put(number)
            assert broker.checks[1](connection).found == "3 messages waiting, 0 consumers"
            count, age = broker.waiting(connection)
            assert (count, math.isnan(age)) == (3, True)
        finally:
            queue.queue.delete()
            queue.close()


class RedisChannel:
    """A channel of our transport, which remembers how it is called."""

    more_waiting = True
    room = take = is_overfull = on_set_aside = on_renewed = on_restored = None

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: self.calls.append((name, *args, *options.values()))


def test_our_transport_is_answered_for_many_at_once() -> None:
    """By their tags, and whether a worker died with them."""
    channel: Any = RedisChannel()
    deliveries = AtOnce(channel, Receiver(*[nothing] * 7))
    both = [fetched(b"", "a"), fetched(b"", "b")]
    deliveries.acknowledge(both)
    deliveries.give_back(both)
    deliveries.give_back(both, died=True)
    deliveries.park(both[0])
    deliveries.unpark(both[0])
    deliveries.begin(both)
    deliveries.pause(both)
    deliveries.resume(both)
    assert channel.calls == [
        ("ack_many", ["a", "b"]),
        ("give_back", ["a", "b"], False),
        ("give_back", ["a", "b"], True),
        *[("park", "a"), ("unpark", "a")],
        *[("begin", ["a", "b"]), ("pause", ["a", "b"]), ("resume", ["a", "b"])],
    ]
    assert deliveries.more_waiting
    assert not deliveries.counts_returns


def test_what_our_transport_sets_aside_is_handed_on_whole() -> None:
    """With as much of a message as it is, for its answer and its dead letter."""
    channel: Any = RedisChannel()
    came: list[tuple[Received, str]] = []
    taken: list[Any] = [*[nothing] * 4, lambda *it: came.append(it), nothing, nothing]
    receiver = Receiver(*taken)
    AtOnce(channel, receiver)
    item = b'{"headers": {"id": "m"}, "properties": {"correlation_id": "c"}}'
    channel.on_set_aside(fetched(item), "why")
    ((delivery, reason),) = came
    assert (delivery.tag, delivery.message.body, reason) == ("tag", item, "why")
    assert (delivery.headers(), delivery.properties()) == ({"id": "m"}, {"correlation_id": "c"})
    assert delivery.details() == {
        "queue": "q",
        "exchange": None,
        "redelivered": False,
        "deliveriesToDeadWorkers": 0,
    }
