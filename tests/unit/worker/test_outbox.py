"""What is said to monitors, whatever the broker does about it."""

from __future__ import annotations

import sys
import threading
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.service import eventually
from worker.telling import outbox as module
from worker.telling.outbox import MOST_WAITING, MOST_WAITING_BYTES, Outbox

if TYPE_CHECKING:
    from collections.abc import Iterator


class Broker:
    """Connections of kombu's, to a broker that can be slow, blocked or away."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.connections = 0
        self.is_away = self.nobody_listens = False
        self.answers = threading.Event()
        self.answers.set()
        self.driver = SimpleNamespace(on_blocked=None, on_unblocked=None)
        self.news: list[bool] = []

    # -- a connection, and a producer's channel --------------------------------

    def __call__(self) -> Broker:
        """Connect."""
        if self.is_away:
            raise ConnectionError("it is away")
        self.connections += 1
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def connection(self) -> Any:
        """Return the driver's."""
        return self.driver

    @property
    def default_channel(self) -> Any:
        """Return none: what publishes is this as well."""
        return None

    def drain_events(self, timeout: float) -> None:
        """Tell the next news, if there are any."""
        if not self.news:
            raise TimeoutError
        if self.news.pop(0):
            self.driver.on_blocked("memory")
        else:
            self.driver.on_unblocked()

    def reaches(self, _: Any, how: dict[str, Any]) -> bool:
        """Take what is said, and say whether anybody listens."""
        self.publish(**how)
        return not self.nobody_listens

    def publish(self, *, body: str) -> None:
        """Take what is said."""
        assert self.answers.wait(10)
        if self.is_away:
            raise ConnectionError("it is away")
        self.said.append(body)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """Give a broker that takes everything."""
    broker = Broker()
    monkeypatch.setattr(module, "Producer", lambda *_, **__: broker)
    monkeypatch.setattr(module, "CONNECT_AGAIN_SECONDS", 0.0)
    return broker


@pytest.fixture
def outbox(broker: Broker) -> Iterator[Outbox]:
    """Give an outbox of that broker."""
    with closing(Outbox(broker, broker.reaches)) as outbox:
        yield outbox


def test_what_is_put_is_published_in_order(broker: Broker, outbox: Outbox) -> None:
    """By one connection, and the last of it before the outbox is closed."""
    for number in range(10):
        outbox.put(body=str(number))
    outbox.close()
    assert broker.said == [str(number) for number in range(10)]
    assert broker.connections == 1


def test_more_is_made_only_for_who_listens(broker: Broker, outbox: Outbox) -> None:
    """When nobody was there for the first, nothing else of it is published, or even made."""
    broker.nobody_listens = True
    outbox.put(body="a", more=(pytest.fail("it is made") for _ in range(1)))
    eventually(lambda: broker.said == ["a"])
    outbox.put(body="b")
    eventually(lambda: broker.said == ["a", "b"])
    broker.nobody_listens = False
    outbox.put(body="c", more=iter(["d", "e"]))
    outbox.put(body="f")
    outbox.close()
    assert broker.said == ["a", "b", "c", "d", "e", "f"]
    assert broker.connections == 1


def test_what_is_large_does_not_wait_in_numbers(broker: Broker, outbox: Outbox) -> None:
    """What would keep too much in memory is lost, if it is not alone; what keeps nothing is not."""
    broker.answers.clear()
    outbox.put(body="being said")
    eventually(outbox._waiting.empty)
    for body in ("however large", "too much"):
        outbox.put(body=body, byte_count=2 * MOST_WAITING_BYTES)
    outbox.put(body="small")
    broker.answers.set()
    eventually(lambda: "small" in broker.said)
    outbox.put(body="after", byte_count=1)
    eventually(lambda: "after" in broker.said)
    assert broker.said == ["being said", "however large", "small", "after"]


def test_nothing_is_connected_for_nothing(broker: Broker, outbox: Outbox) -> None:
    """Who says nothing has no connection."""
    outbox.close()
    assert not broker.connections


def test_who_puts_never_waits(broker: Broker, outbox: Outbox) -> None:
    """While the broker does not answer a few are kept; the rest is lost, and nobody waits."""
    broker.answers.clear()
    for number in range(10 * MOST_WAITING):
        outbox.put(body=str(number))
    broker.answers.set()
    eventually(lambda: len(broker.said) >= MOST_WAITING)
    outbox.put(body="after")
    eventually(lambda: broker.said[-1] == "after")
    assert len(broker.said) <= MOST_WAITING + 2


def test_a_blocked_connection_is_not_written_to(broker: Broker, outbox: Outbox) -> None:
    """What is said meanwhile is lost; what is said afterwards is not."""
    outbox.put(body="before")
    eventually(lambda: broker.said == ["before"])
    broker.news.append(True)
    outbox.put(body="meanwhile")
    eventually(lambda: not broker.news)
    broker.news.append(False)
    outbox.put(body="after")
    eventually(lambda: broker.said == ["before", "after"])
    assert broker.connections == 1


def test_a_lost_connection_is_replaced(broker: Broker, outbox: Outbox) -> None:
    """As soon as there is something to say again."""
    outbox.put(body="before")
    eventually(lambda: broker.said == ["before"])
    broker.is_away = True
    outbox.put(body="meanwhile")
    eventually(lambda: outbox._trouble.tries == 1)
    broker.is_away = False
    outbox.put(body="after")
    eventually(lambda: broker.said == ["before", "after"])
    assert broker.connections == 2


def put_at_once(outbox: Outbox, gate: threading.Barrier) -> None:
    """Publish when all others do."""
    gate.wait(10)
    outbox.put(body="x")


def test_several_threads_may_begin_at_once(broker: Broker) -> None:
    """One thread publishes, so that things are said in their order."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(100):
            with closing(Outbox(broker, broker.reaches)) as outbox:
                gate = threading.Barrier(8)
                threads = [
                    threading.Thread(target=put_at_once, args=(outbox, gate)) for _ in range(8)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            eventually(lambda: "outbox" not in {thread.name for thread in threading.enumerate()})
    finally:
        sys.setswitchinterval(interval)


def test_who_speaks_does_not_die_of_too_many_threads(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said when there can be one more."""
    with closing(Outbox(broker, broker.reaches)) as outbox, monkeypatch.context() as limited:
        limited.setattr(threading, "Thread", refuse)
        outbox.put(body="early")
        limited.undo()
        outbox.put(body="late")
        eventually(lambda: broker.said == ["early", "late"])


def refuse(*_: Any, **__: Any) -> Any:
    """Refuse, as an operating system does."""
    raise RuntimeError("can't start new thread")
