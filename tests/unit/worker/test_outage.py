"""What is left of what Celery says while the broker is away.

Celery says it here: its own code is run on stand-ins for what it works with, so that
a release which says it in other words, or by another logger, fails.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn
from unittest.mock import MagicMock

import pytest
from billiard.exceptions import RestartFreqExceeded
from celery import bootsteps
from celery.worker import loops
from celery.worker.consumer import connection, consumer

from service.lines import fields_of
from service.trouble import SAY_AGAIN_AFTER_SECONDS
from worker.celery import app
from worker.seams import outage as module
from worker.seams.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REFUSED = ConnectionError("refused\nand more")


class Clock:
    """A clock that is turned by hand."""

    now = 1_000.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stand in for the time."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def outage() -> Iterator[Outage]:
    """Give one that listens."""
    outage = Outage()
    outage.install()
    yield outage
    for name in module.TALKATIVE:
        logging.getLogger(name).removeFilter(outage)


# -- Celery, which says something ----------------------------------------------------------


def connect() -> None:
    """Connect at last."""
    step: Any = connection.Connection(MagicMock())
    step.start(MagicMock(**{"connect.return_value.as_uri.return_value": "redis://"}))


def lose_the_connection() -> None:
    """Lose a connection that worked."""
    consumer.Consumer.on_connection_error_after_connected(MagicMock(app=app), REFUSED)


def fail_to_connect() -> None:
    """Find nobody there, and try again."""
    stand_in = MagicMock(app=app, broker_connection_retry_attempt=0)
    away = MagicMock(alt=[], **{"as_uri.return_value": "redis://"})
    away.ensure_connection.side_effect = lambda errback, *_, **__: errback(REFUSED, 2.0)
    consumer.Consumer.ensure_connected(stand_in, away)


def fail_before_connecting() -> None:
    """Fail before there was a connection."""
    consumer.Consumer.on_connection_error_before_connected(MagicMock(), REFUSED)


def restart_often() -> None:
    """Begin again and again."""
    blueprint = SimpleNamespace(state=bootsteps.RUN)
    blueprint.start = lambda _: setattr(blueprint, "state", bootsteps.CLOSE)
    stand_in = MagicMock(app=app, blueprint=blueprint, restart_count=1, hub=None)
    stand_in.connection_errors = stand_in.channel_errors = ()
    stand_in._restart_state.step.side_effect = RestartFreqExceeded("5 in 1 s")
    consumer.Consumer.start(stand_in)


def fail_a_step(doing: str) -> None:
    """Let a step fail to tidy up."""
    step = MagicMock(alias="Gossip", **{"stop.side_effect": AttributeError("connection_errors")})
    blueprint: Any = bootsteps.Blueprint()
    blueprint.restart(SimpleNamespace(steps=[step]), "stop", doing)


def fail_a_loop(loop: Callable[..., None]) -> None:
    """Let an event loop fail to tidy up."""

    def lose(*_: Any, **__: Any) -> NoReturn:
        raise REFUSED

    hub = MagicMock(**{"reset.side_effect": OSError("gone")})
    hub.create_loop.return_value = map(lose, [None])
    broken = MagicMock(drain_events=lose)
    blueprint = SimpleNamespace(state=bootsteps.RUN)
    with pytest.raises(ConnectionError):
        loop(*(MagicMock(), broken, MagicMock(), blueprint, hub, MagicMock(), 0, MagicMock()))


# -- what is left of it --------------------------------------------------------------------


def test_an_outage_is_logged_when_it_begins_and_when_it_is_over(
    clock: Clock, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    """And once a minute between."""
    caplog.set_level("INFO")
    lose_the_connection()
    for _ in range(12):
        fail_to_connect()
        clock.now += SAY_AGAIN_AFTER_SECONDS / 10
    connect()
    outage.over()
    assert [(r.getMessage(), fields_of(r)) for r in caplog.records] == [
        ("broker is away", {"error": "ConnectionError: refused", "tries": 1}),
        ("broker is away", {"error": "ConnectionError: refused", "tries": 12}),
        ("broker is back", {"seconds": 72.0, "tries": 13}),
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


@pytest.mark.parametrize(
    ("say", "error"),
    [
        (lose_the_connection, "ConnectionError: refused"),
        (fail_to_connect, "ConnectionError: refused"),
        (fail_before_connecting, "ConnectionError: refused"),
        (restart_often, "RestartFreqExceeded: 5 in 1 s"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_an_outage_is_seen_however_celery_says_it(
    say: Callable[[], None],
    error: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has a line for each place where a connection may fail."""
    monkeypatch.setattr(consumer, "sleep", lambda _: None)
    caplog.set_level("INFO")
    say()
    (record,) = caplog.records
    assert record.getMessage() == "broker is away"
    assert fields_of(record) == {"error": error, "tries": 1}
    assert record.exc_info is None


@pytest.mark.parametrize("loop", [loops.asynloop, loops.synloop], ids=["asynloop", "synloop"])
def test_a_loop_that_cannot_be_tidied_up_is_for_debugging(
    loop: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Over a dead connection that is a long traceback about nothing new."""
    caplog.set_level("INFO")
    fail_a_loop(loop)
    assert not caplog.records
    caplog.set_level("DEBUG")
    fail_a_loop(loop)
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


def test_a_step_that_cannot_be_tidied_up_is_for_debugging(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While a worker connects again; one that stops has no other connection."""
    caplog.set_level("INFO")
    fail_a_step("restarting")
    assert not caplog.records
    caplog.set_level("DEBUG", "worker.seams.outage")
    fail_a_step("restarting")
    fail_a_step("stopping")
    assert [record.levelname for record in caplog.records] == ["DEBUG", "ERROR"]


def test_the_first_connection_is_nothing_special(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    """Celery's lines stand as they are."""
    caplog.set_level("INFO")
    logging.getLogger("celery.bootsteps").info("Preparing bootsteps.")
    connect()
    outage.over()
    assert [record.getMessage() for record in caplog.records] == [
        "Preparing bootsteps.",
        "Connected to redis://",
    ]
