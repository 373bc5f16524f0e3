"""Celery results on their way to a backend: waited for while it serves, and only then."""

from __future__ import annotations

import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from celery import Celery

from settle_client.update import StatusUpdate
from tasks.settle import outcome_of
from worker.telling import result_store as module
from worker.telling.result_store import ResultStore
from worker.telling.results import Result, revoked, success, why_unfit

if TYPE_CHECKING:
    from collections.abc import Callable

OUTCOME = outcome_of("m", StatusUpdate(id="ev_1", status="completed"), None)
FOREVER = 3_600.0


class Backend:
    """Stores what it is given while it is there, and of some messages nothing."""

    def __init__(self, *unfit: str) -> None:
        self.stored: dict[str, tuple[Any, str]] = {}
        self.tries = 0
        self.is_away = False
        self.unfit = unfit
        self.serves = threading.Event()
        self.serves.set()

    def store_result(self, message_id: str, value: Any, state: str) -> None:
        """Store."""
        self.tries += 1
        self.serves.wait(60)
        if self.is_away or message_id in self.unfit:
            raise ConnectionError("redis://user:hush@host is away")
        self.stored[message_id] = (value, state)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(module, "MAX_PAUSE_SECONDS", 0.01)


def soon(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def results(*ids: str) -> list[Result]:
    """Make results."""
    return [success(id_, [OUTCOME]) for id_ in ids]


def test_what_a_backend_takes_is_stored_when_it_was_handed_over() -> None:
    """The outcomes as they are published, or that the message was dropped."""
    backend = Backend()
    ResultStore(backend, retry_seconds=FOREVER).add(
        [*results("a"), revoked("b", "expired")], hold_seconds=60
    )
    assert backend.stored["a"] == ([OUTCOME.to_dict()], "SUCCESS")
    error, state = backend.stored["b"]
    assert (str(error), state) == ("expired", "REVOKED")


def test_a_backend_that_is_away_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """However long one would wait; when it is back everything is stored, and the log says so."""
    caplog.set_level("INFO")
    backend = Backend()
    backend.is_away = True
    store = ResultStore(backend, retry_seconds=FOREVER)
    for id_ in "abc":
        store.add(results(id_), hold_seconds=FOREVER)
    assert not backend.stored
    soon(lambda: backend.tries > 5)
    backend.is_away = False
    soon(lambda: backend.stored.keys() == {*"abc"})
    soon(lambda: "results are stored again" in caplog.text)
    texts = [record.getMessage() for record in caplog.records]
    assert texts == ["results are not stored", "results are stored again"]
    assert "hush" not in str([vars(record) for record in caplog.records])


def test_a_backend_that_is_silent_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was handed over meanwhile is stored when it speaks again."""
    monkeypatch.setattr(module, "HOLD_SECONDS", 0.01)
    backend = Backend()
    backend.serves.clear()
    store = ResultStore(backend, retry_seconds=FOREVER)
    for id_ in "abc":
        store.add(results(id_), hold_seconds=FOREVER)
    assert not backend.stored
    backend.serves.set()
    soon(lambda: backend.stored.keys() == {*"abc"})


def test_one_that_cannot_be_stored_keeps_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is that the backend has against it."""
    monkeypatch.setattr(module, "HOLD_SECONDS", 0.01)
    backend = Backend("bad")
    store = ResultStore(backend, retry_seconds=FOREVER)
    store.add(results("bad", *"abc"))
    store.add(results("bad", *"def"))
    soon(lambda: backend.stored.keys() == {*"abcdef"})


def test_one_that_alone_is_refused_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """After a few tries, for the backend is not away."""
    backend = Backend("bad")
    store = ResultStore(backend, retry_seconds=FOREVER)
    store.add(results("bad"))
    others = count()

    def is_given_up() -> bool:
        # There are always others that are stored in between.
        store.add(results(str(next(others))))
        return "results are given up" in caplog.text

    soon(is_given_up)
    soon(lambda: not store._waiting)
    assert "bad" not in backend.stored


def test_what_is_too_old_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """After one try at least, and not silently."""
    backend = Backend()
    backend.is_away = True
    store = ResultStore(backend, retry_seconds=0)
    store.add(results(*"abc"), hold_seconds=60)
    soon(lambda: "results are given up" in caplog.text)
    soon(lambda: not store._waiting)
    assert backend.tries >= 1
    assert (store._bytes, backend.stored) == (0, {})


def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest make room; a large payload counts."""
    large = msgspec.structs.replace(OUTCOME, payload=msgspec.Raw(b'"' + b"x" * 9_998 + b'"'))
    size = success("any", [large]).byte_count
    assert size > 10_000
    monkeypatch.setattr(module, "MAX_BYTES", 3 * size)
    backend = Backend()
    backend.is_away = True
    store = ResultStore(backend, retry_seconds=FOREVER)
    for number in range(10):
        store.add([success(str(number), [large])])
    assert store._bytes <= 3 * size
    backend.is_away = False
    soon(lambda: not store._waiting)
    assert {"8", "9"} <= backend.stored.keys()
    assert len(backend.stored) == 3


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("rpc://", "rpc:// cannot be used", id="of Celery's first tutorial"),
        pytest.param("celery.backends.rpc.RPCBackend", "rpc:// cannot be used", id="by its class"),
        pytest.param("nonsense://user:hush@host", "nonsense", id="unknown"),
        pytest.param("redis://127.0.0.1:1/0", None, id="one that is away"),
        pytest.param("disabled://", None, id="none"),
    ],
)
def test_a_backend_that_cannot_serve_is_found_out(url: str, says: str | None) -> None:
    """With the reason; one that is merely away will do."""
    app = Celery(backend=url, set_as_current=False)
    why = why_unfit(lambda: app.backend)
    assert why is None if says is None else (why and says in why)
    assert "hush" not in str(why)
