"""How updates are handed in, kept within a bound, and confirmed; against a broker in memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from settle_client import producer as module
from settle_client.envelope import _written_by_celery
from settle_client.errors import InvalidUpdateError, NotSentError
from settle_client.producer import MAX_MESSAGES, Producer

if TYPE_CHECKING:
    from settle_client.envelope import Envelope

UPDATE = {"id": "ev_1", "status": "completed"}


class BrokerInMemory:
    """Takes messages while it is up."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.up.set()
        self.writes: list[list[str]] = []
        self.tries = 0

    def push(self, envelopes: list[Envelope]) -> None:
        """Take some, or be away."""
        self.tries += 1
        if not self.up.is_set():
            raise ConnectionError("the broker is away")
        self.writes.append([envelope.message_id for envelope in envelopes])

    def disconnect(self) -> None:
        """Nothing to close."""

    @property
    def ids(self) -> list[str]:
        """Return what it has, in order."""
        return [message_id for write in self.writes for message_id in write]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> BrokerInMemory:
    """Stand in for the broker."""
    broker = BrokerInMemory()
    monkeypatch.setattr(module, "Broker", lambda *_, **__: broker)
    return broker


def make(**options: Any) -> Producer:
    """Make a producer that does not wait long."""
    return Producer("redis://unused", **{"timeout_seconds": 0.2, **options})


def test_what_is_handed_in_is_sent_in_order(broker: BrokerInMemory) -> None:
    """And in far fewer writes than there are messages."""
    with make(timeout_seconds=30) as producer:
        ids = [producer.send(UPDATE) for _ in range(3 * MAX_MESSAGES)]
    assert broker.ids == ids
    assert len(broker.writes) < 100
    assert max(map(len, broker.writes)) <= MAX_MESSAGES


def test_one_update_does_not_wait_for_others(broker: BrokerInMemory) -> None:
    """It leaves by itself when it has waited long enough."""
    producer = make()
    message_id = producer.send(UPDATE)
    deadline = threading.Event()
    while not broker.ids:
        assert not deadline.wait(0.001)
    assert broker.ids == [message_id]
    producer.close()


def test_an_update_that_is_not_valid_is_refused_at_once(broker: BrokerInMemory) -> None:
    """The text names the field, and nothing of its message is sent."""
    with make() as producer:
        with pytest.raises(InvalidUpdateError, match="status: must be 'completed' or"):
            producer.send({"id": "ev_1", "status": "done"})
        with pytest.raises(InvalidUpdateError, match="id: is required"):
            producer.send_together([UPDATE, {"status": "failed"}])
        with pytest.raises(InvalidUpdateError, match="at least one"):
            producer.send_together([])
    assert broker.ids == []


def test_a_broker_that_comes_back_gets_everything(broker: BrokerInMemory) -> None:
    """What it had not confirmed is sent again."""
    broker.up.clear()
    with make(timeout_seconds=30) as producer:
        ids = [producer.send(UPDATE) for _ in range(10)]
        while not broker.tries:
            pass
        broker.up.set()
    assert broker.ids == ids


def test_what_was_not_sent_is_told(broker: BrokerInMemory) -> None:
    """With the ids of its messages and the reason."""
    broker.up.clear()
    producer = make()
    ids = [producer.send(UPDATE), producer.send_together([UPDATE, UPDATE])]
    with pytest.raises(NotSentError, match="the broker is away") as caught:
        producer.close()
    assert list(caught.value.message_ids) == ids
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_what_is_unsent_is_bounded(broker: BrokerInMemory) -> None:
    """Who hands in more waits, and is told when that takes too long; nothing else is lost."""
    broker.up.clear()
    producer = make(max_unsent_updates=3)
    ids = [producer.send(UPDATE), producer.send_together([UPDATE, UPDATE])]
    with pytest.raises(NotSentError, match="1 message"):
        producer.send(UPDATE)
    broker.up.set()
    producer.timeout_seconds = 30
    ids.append(producer.send(UPDATE))
    producer.close()
    assert broker.ids == ids


def test_a_message_larger_than_the_bound_is_sent_alone(broker: BrokerInMemory) -> None:
    """It could never be sent otherwise."""
    with make(max_unsent_updates=3, timeout_seconds=30) as producer:
        ids = [producer.send(UPDATE), producer.send_together([UPDATE] * 10)]
    assert broker.ids == ids


def test_threads_share_one(broker: BrokerInMemory) -> None:
    """Each thread's messages keep their order, and every one is sent once."""
    with make(timeout_seconds=30, max_unsent_updates=50) as producer:
        ids: list[list[str]] = [[] for _ in range(4)]

        def send(mine: list[str]) -> None:
            mine.extend(producer.send(UPDATE) for _ in range(500))

        threads = [threading.Thread(target=send, args=(mine,)) for mine in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(broker.ids) == sorted(id_ for mine in ids for id_ in mine)
    for mine in ids:
        members = set(mine)
        assert [id_ for id_ in broker.ids if id_ in members] == mine


def test_a_closed_producer_takes_nothing(broker: BrokerInMemory) -> None:
    """And says so."""
    producer = make()
    producer.close()
    with pytest.raises(NotSentError, match="closed"):
        producer.send(UPDATE)
    assert broker.ids == []


@pytest.mark.parametrize("url", ["amqp://127.0.0.1:1//", "redis://127.0.0.1:1/0"])
def test_the_form_of_a_message_needs_no_broker(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the one either that the environment names."""
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    assert _written_by_celery()["headers"]["task"] == "events.update_status"
