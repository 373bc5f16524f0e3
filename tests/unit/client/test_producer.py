"""How updates are handed in, kept within a bound, and confirmed; against a broker in memory."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from settle_client import AsyncProducer, async_producer, producer
from settle_client.errors import (
    AddressError,
    BelongsElsewhereError,
    InvalidUpdateError,
    NotSentError,
)
from settle_client.outbox import MAX_MESSAGES
from tests import faces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settle_client.envelope import Envelope

face = faces.face

UPDATE = {"id": "ev_1", "status": "completed"}


class BrokerInMemory:
    """Takes messages while it is up."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.up.set()
        self.writes: list[list[str]] = []
        self.tries = 0

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """Take some, or be away."""
        self.tries += 1
        if not self.up.is_set():
            raise ConnectionError("the broker is away")
        self.writes.append([envelope.message_id for envelope in envelopes])

    def close(self) -> None:
        """Nothing to close."""

    @property
    def ids(self) -> list[str]:
        """Return what it has, in order."""
        return [message_id for write in self.writes for message_id in write]


class AsyncBrokerInMemory:
    """The same, awaited."""

    def __init__(self, broker: BrokerInMemory) -> None:
        self._broker = broker

    async def push(self, envelopes: Sequence[Envelope]) -> None:
        """Take some, or be away."""
        self._broker.push(envelopes)

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> BrokerInMemory:
    """Stand in for the broker."""
    broker = BrokerInMemory()
    monkeypatch.setattr(producer, "make_queue", lambda *_, **__: broker)
    monkeypatch.setattr(
        async_producer, "make_async_queue", lambda *_, **__: AsyncBrokerInMemory(broker)
    )
    return broker


def make(face: Any, **options: Any) -> Any:
    """Make a producer that does not wait long."""
    return face.producer("redis://unused", **{"timeout_seconds": 0.2, **options})


def patiently(condition: Any) -> None:
    """Wait until something holds."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.001)


def test_what_is_handed_in_is_sent_in_order(face: Any, broker: BrokerInMemory) -> None:
    """And in fewer writes than there are messages."""
    with make(face, timeout_seconds=30) as producer:
        ids = [producer.send(UPDATE) for _ in range(3 * MAX_MESSAGES)]
    assert broker.ids == ids
    assert len(broker.writes) < len(ids)
    assert max(map(len, broker.writes)) <= MAX_MESSAGES


def test_what_tasks_hand_in_together_is_sent_together(broker: BrokerInMemory) -> None:
    """A write takes what there is, of whichever task."""

    async def send() -> list[str]:
        async with AsyncProducer("redis://unused") as producer:
            return await asyncio.gather(*[producer.send(UPDATE) for _ in range(3 * MAX_MESSAGES)])

    ids = asyncio.run(send())
    assert broker.ids == ids
    assert [len(write) for write in broker.writes] == [MAX_MESSAGES] * 3


def test_one_update_does_not_wait_for_others(face: Any, broker: BrokerInMemory) -> None:
    """It leaves by itself when it has waited long enough."""
    producer = make(face)
    message_id = producer.send(UPDATE)
    patiently(lambda: broker.ids)
    assert broker.ids == [message_id]
    producer.close()


def test_an_update_that_is_not_valid_is_refused_at_once(face: Any, broker: BrokerInMemory) -> None:
    """The text names the field, and nothing of its message is sent."""
    with make(face) as producer:
        with pytest.raises(InvalidUpdateError, match="status: must be 'completed' or"):
            producer.send({"id": "ev_1", "status": "done"})
        with pytest.raises(InvalidUpdateError, match="id: is required"):
            producer.send_together([UPDATE, {"status": "failed"}])
        with pytest.raises(InvalidUpdateError, match="at least one"):
            producer.send_together(iter(()))
    assert broker.ids == []


def test_a_broker_that_comes_back_gets_everything(face: Any, broker: BrokerInMemory) -> None:
    """What it had not confirmed is sent again."""
    broker.up.clear()
    with make(face, timeout_seconds=30) as producer:
        ids = [producer.send(UPDATE) for _ in range(10)]
        patiently(lambda: broker.tries)
        broker.up.set()
    assert broker.ids == ids


def test_what_was_not_sent_is_named(face: Any, broker: BrokerInMemory) -> None:
    """With the ids of its messages and the reason."""
    broker.up.clear()
    producer = make(face)
    ids = [producer.send(UPDATE), producer.send_together([UPDATE, UPDATE])]
    with pytest.raises(NotSentError, match="the broker is away") as caught:
        producer.close()
    assert list(caught.value.message_ids) == ids
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_what_is_unsent_is_bounded(face: Any, broker: BrokerInMemory) -> None:
    """Who hands in more waits, and gets an error when that takes too long; nothing else is lost."""
    broker.up.clear()
    producer = make(face, max_unsent_updates=3)
    ids = [producer.send(UPDATE), producer.send_together([UPDATE, UPDATE])]
    with pytest.raises(NotSentError, match="1 message"):
        producer.send(UPDATE)
    broker.up.set()
    patiently(lambda: broker.ids)
    ids.append(producer.send(UPDATE))
    producer.close()
    assert broker.ids == ids


def test_a_message_larger_than_the_bound_is_sent_alone(face: Any, broker: BrokerInMemory) -> None:
    """It could never be sent otherwise."""
    with make(face, max_unsent_updates=3, timeout_seconds=30) as producer:
        ids = [producer.send(UPDATE), producer.send_together([UPDATE] * 10)]
    assert broker.ids == ids


def test_threads_share_one(face: Any, broker: BrokerInMemory) -> None:
    """Each one's messages keep their order, and every one is sent once."""
    with make(face, timeout_seconds=30, max_unsent_updates=50) as producer:
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


def test_a_closed_producer_takes_nothing(face: Any, broker: BrokerInMemory) -> None:
    """And says so; to close it once more is nothing."""
    producer = make(face)
    producer.close()
    with pytest.raises(NotSentError, match="closed"):
        producer.send(UPDATE)
    producer.close()
    assert broker.ids == []


@pytest.mark.usefixtures("broker")
def test_a_loop_that_sends_lets_others_run() -> None:
    """It need not wait for anything by itself."""

    async def scenario() -> int:
        turns = 0

        async def take_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        others = asyncio.create_task(take_turns())
        async with AsyncProducer("redis://unused") as producer:
            for _ in range(2 * MAX_MESSAGES):
                await producer.send(UPDATE)
            taken = turns
        others.cancel()
        return taken

    assert asyncio.run(scenario()) > 0


def test_a_send_that_is_cancelled_sends_nothing(broker: BrokerInMemory) -> None:
    """It was waiting for room, and the others go on."""
    broker.up.clear()

    async def scenario() -> str:
        async with AsyncProducer("redis://unused", max_unsent_updates=1) as producer:
            first = await producer.send(UPDATE)
            waiting = asyncio.create_task(producer.send(UPDATE))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            broker.up.set()
            return first

    assert asyncio.run(scenario()) == broker.ids[0]
    assert len(broker.ids) == 1


def test_a_task_that_somebody_cancelled_is_begun_again(broker: BrokerInMemory) -> None:
    """As whoever ends by cancelling all tasks does, before it closes the producer."""

    async def scenario() -> list[str]:
        async with AsyncProducer("redis://unused") as producer:
            ids = [await producer.send(UPDATE)]
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)
            return [*ids, await producer.send(UPDATE)]

    assert sorted(asyncio.run(scenario())) == sorted(broker.ids)


@pytest.mark.usefixtures("broker")
def test_another_event_loop_is_refused() -> None:
    """Where it would wait for ever."""
    producer = AsyncProducer("redis://unused")
    asyncio.run(producer.send(UPDATE))
    for use in (lambda: producer.send(UPDATE), producer.flush, producer.close):
        with pytest.raises(BelongsElsewhereError, match="another event loop: make one in each"):
            asyncio.run(use())


HUSH = "hush"


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        pytest.param("sentinel://h:1", {}, "master_name", id="sentinels of nobody"),
        pytest.param("redis://h/0", {"hush": HUSH}, "hush", id="no such option"),
        pytest.param("redis://h/0?socket_timeout=hush", {}, "its options", id="no number"),
        pytest.param("redis://:ab/hush@h:1/0", {}, "percent-encode", id="a password unescaped"),
        pytest.param("nonsense://:hush@h", {}, "no such kind of broker: nonsense", id="scheme"),
        pytest.param("amqp://h//", {"min_replicas": 1}, "leave min_replicas out", id="RabbitMQ"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(
    face: Any, url: str, options: dict[str, Any], expected: str
) -> None:
    """In one line, before anything is sent, and without a secret."""
    with pytest.raises(AddressError) as refused:
        face.producer(url, **options)
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "=hush" not in str(refused.value)
    assert "hush@" not in str(refused.value)


def test_rabbitmq_without_its_extra_is_refused(face: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "kombu.connection", None)
    with pytest.raises(AddressError, match=r"pip install settle-client\[rabbitmq\]"):
        face.producer("amqp://localhost//")


def test_who_refuses_connections_is_the_reason(face: Any) -> None:
    """Of RabbitMQ too: the first refusal is known at once, and not after another try."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"amqp://guest:guest@127.0.0.1:{nobody.getsockname()[1]}//"
        producer = face.producer(url, timeout_seconds=1)
        producer.send(UPDATE)
        with pytest.raises(NotSentError, match="refused"):
            producer.close()


class HangingBroker(BrokerInMemory):
    """Answers, but later than anybody waits for."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.seen: list[str] = []

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """Take some, after a while."""
        self.seen.append("asked")
        threading.Event().wait(self.seconds)
        self.seen.append("answered")
        super().push(envelopes)


class AsyncHangingBroker(AsyncBrokerInMemory):
    """The same, awaited."""

    def __init__(self, broker: HangingBroker) -> None:
        super().__init__(broker)
        self._hanging = broker

    async def push(self, envelopes: Sequence[Envelope]) -> None:
        """Take some, after a while."""
        self._hanging.seen.append("asked")
        await asyncio.sleep(self._hanging.seconds)
        self._hanging.seen.append("answered")
        await super().push(envelopes)


def hang(monkeypatch: pytest.MonkeyPatch, seconds: float) -> HangingBroker:
    """Stand in for the broker with one that hangs."""
    broker = HangingBroker(seconds)
    monkeypatch.setattr(producer, "make_queue", lambda *_, **__: broker)
    make_async = lambda *_, **__: AsyncHangingBroker(broker)  # noqa: E731
    monkeypatch.setattr(async_producer, "make_async_queue", make_async)
    return broker


def test_the_timeout_is_of_closing_as_a_whole(face: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for what is unsent, and once more for the one that sends it."""
    broker = hang(monkeypatch, 1.5)
    producer = make(face, timeout_seconds=1)
    producer.send(UPDATE)
    patiently(lambda: broker.seen)
    with pytest.raises(NotSentError, match="within 1 s"):
        producer.close()
    broker.seen.append("closed")
    assert broker.seen == ["asked", "closed"]


@pytest.mark.parametrize("is_there", [True, False], ids=["hangs", "is away"])
def test_closing_that_is_cancelled_waits_for_nothing(
    broker: BrokerInMemory, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """The producer is closed all the same, and its task is over."""
    if is_there:
        hang(monkeypatch, 3_600)
    else:
        broker.up.clear()

    async def scenario() -> None:
        producer = AsyncProducer("redis://unused", timeout_seconds=3_600)
        await producer.send(UPDATE)
        closing = asyncio.create_task(producer.close())
        await asyncio.sleep(0.1)
        closing.cancel()
        await asyncio.wait([closing], timeout=30)
        assert closing.cancelled()
        with pytest.raises(NotSentError, match="closed"):
            await producer.send(UPDATE)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


INTERRUPTED = """
import os, signal, socket, threading
from settle_client import NotSentError, Producer
signal.signal(signal.SIGINT, signal.default_int_handler)
hanging = socket.create_server(("127.0.0.1", 0))
producer = Producer(
    f"redis://127.0.0.1:{hanging.getsockname()[1]}/0", timeout_seconds=3_600, max_unsent_updates=1
)
producer.send({"id": "ev_1", "status": "completed"})
for wait in (lambda: producer.send({"id": "ev_2", "status": "failed"}), producer.close):
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        wait()
    except KeyboardInterrupt:
        print("interrupted")
try:
    producer.send({"id": "ev_1", "status": "completed"})
except NotSentError as error:
    print(error)
"""


def test_who_presses_ctrl_c_is_heard_at_once() -> None:
    """While it waits for room, or closes: nothing is waited for, and nothing else is said."""
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], check=True, capture_output=True, text=True, timeout=60
    )
    said = "1 message not confirmed within 0 s, the producer is closed"
    assert ended.stdout.splitlines() == ["interrupted", "interrupted", said]
    assert ended.stderr == ""
