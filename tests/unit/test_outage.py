"""What is left of what Celery says while the broker is away."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from celery.worker.consumer.consumer import CONNECTION_ERROR, CONNECTION_RETRY

from service.lines import fields_of
from service.trouble import SAY_AGAIN_AFTER_SECONDS
from worker.seams import outage as module
from worker.seams.outage import LOOP_FAILED, STEP_FAILED, Outage

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_an_outage_is_logged_when_it_begins_and_when_it_is_over(
    clock: Clock, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    """And once a minute between."""
    caplog.set_level("INFO")
    consumer, *_ = (logging.getLogger(name) for name in reversed(module.TALKATIVE))
    consumer.warning("%s (%r)", CONNECTION_RETRY, REFUSED)
    for _ in range(12):
        consumer.error(CONNECTION_ERROR, "redis://", REFUSED, "Trying again")
        clock.now += SAY_AGAIN_AFTER_SECONDS / 10
    logging.getLogger("celery.worker.consumer.connection").info("Connected to %s", "redis://")
    outage.over()
    assert [(r.getMessage(), fields_of(r)) for r in caplog.records] == [
        ("broker is away", {"error": "ConnectionError: refused", "tries": 1}),
        ("broker is away", {"error": "ConnectionError: refused", "tries": 12}),
        ("broker is back", {"seconds": 72.0, "tries": 13}),
    ]


def test_what_cannot_be_tidied_up_is_for_debugging(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A step that fails to close a dead connection writes a long traceback."""
    logger = logging.getLogger("celery.bootsteps")
    caplog.set_level("INFO")
    error = AttributeError("connection_errors")
    logger.error(STEP_FAILED, "restarting", "Gossip", error)
    logging.getLogger("celery.worker.loops").error(LOOP_FAILED[0], error)
    assert not caplog.records
    caplog.set_level("DEBUG")
    for doing in ("restarting", "stopping"):
        logger.error(STEP_FAILED, doing, "Gossip", error)
    assert [record.levelname for record in caplog.records] == ["DEBUG", "ERROR"]


def test_the_first_connection_is_nothing_special(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    """Celery's lines stand as they are."""
    caplog.set_level("INFO")
    logging.getLogger("celery.bootsteps").info("Preparing bootsteps.")
    logging.getLogger("celery.worker.consumer.connection").info("Connected to %s", "redis://")
    outage.over()
    assert [record.getMessage() for record in caplog.records] == [
        "Preparing bootsteps.",
        "Connected to redis://",
    ]
