"""What a worker says while all is well."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from service.lines import fields_of
from service.settings import Settings
from worker.seams import logs
from worker.telling.vitals import Vitals
from worker.watching.gauges import snapshot
from worker.watching.reporting import IDLE_SECONDS, WORKING_SECONDS, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = Settings(
    CELERY_BROKER_URL="amqp://w:hush@rabbit//",
    DATABASE_URL="postgresql://w:hush@postgres/settle",
    outcome_url="redis://w:hush@redis/0",
)


class Counts:
    """The metrics of a worker, as somebody sets them."""

    def __init__(self) -> None:
        self.now: dict[str, Any] = {
            "updates": {"updated": 0, "invalid": 0},
            "batches": {"size": 0, "slot": 0},
            "held_updates": {"waiting": 0, "slots": 0},
            "queue_messages": 0,
            "queue_delayed_messages": 0,
            "dead_letters_kept": 0,
        }

    def snapshot(self) -> dict[str, Any]:
        """Return them."""
        return self.now


@pytest.fixture
def counts() -> Counts:
    """Give counts of nothing."""
    return Counts()


@pytest.fixture
def report(counts: Counts, caplog: pytest.LogCaptureFixture) -> Report:
    """Give a report that has said nothing."""
    caplog.set_level("INFO")
    found = Vitals(database="PostgreSQL 15.3; at 0001, the newest")
    return Report(SETTINGS, found, counts.snapshot)


def said(caplog: pytest.LogCaptureFixture) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each line, and forget it."""
    for record in caplog.records:
        yield record.getMessage(), fields_of(record)
    caplog.clear()


def test_a_worker_says_what_it_stands_on(report: Report, caplog: pytest.LogCaptureFixture) -> None:
    """Once, when it is ready and not before; without a password."""
    report.beat(0.0, is_ready=False)
    assert not caplog.records
    report.beat(2.0, is_ready=True)
    report.beat(4.0, is_ready=True)
    assert list(said(caplog)) == [
        (
            "worker is ready",
            {
                "broker": "amqp://w:***@rabbit//",
                "result_channel": "redis://w:***@redis/0",
                "database": "postgresql://w:***@postgres/settle",
                "found": "PostgreSQL 15.3; at 0001, the newest",
            },
        )
    ]


def test_a_worker_says_nothing_of_a_database_that_it_has_not_looked_at(
    report: Report, caplog: pytest.LogCaptureFixture
) -> None:
    """A batch may be settled before that."""
    report._vitals.database = ""
    report.beat(0.0, is_ready=True)
    assert not caplog.records


def test_a_worker_at_work_says_so_once_a_minute(
    report: Report, counts: Counts, caplog: pytest.LogCaptureFixture
) -> None:
    """With what it has settled since it last did, and what waits."""
    report.beat(0.0, is_ready=True)
    caplog.clear()
    counts.now |= {"updates": {"updated": 600, "invalid": 0}, "batches": {"size": 1, "slot": 3}}
    counts.now |= {"queue_messages": 7, "dead_letters_kept": 2}
    for now in range(2, int(WORKING_SECONDS) + 2, 2):
        report.beat(float(now), is_ready=True)
    waits = {"waiting": 7, "delayed": 0, "held": 0, "dead_letters": 2}
    first = {"seconds": 60, "updates": 600, "outcomes": {"updated": 600}, "batches": 4}
    assert list(said(caplog)) == [("worker is at work", first | waits)]

    counts.now |= {"updates": {"updated": 650, "invalid": 1}, "batches": {"size": 1, "slot": 4}}
    report.beat(2 * WORKING_SECONDS, is_ready=True)
    ((_, fields),) = said(caplog)
    assert fields["outcomes"] == {"updated": 50, "invalid": 1}
    assert (fields["updates"], fields["batches"]) == (51, 1)


def test_an_idle_worker_says_so_seldom(report: Report, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing for a long time, and then that it is there."""
    report.beat(0.0, is_ready=True)
    caplog.clear()
    now = 0.0
    while not caplog.records:
        now += WORKING_SECONDS
        report.beat(now, is_ready=True)
    assert now == IDLE_SECONDS
    ((text, _),) = said(caplog)
    assert text == "worker is idle"


def test_nobody_is_reassured_while_there_is_trouble(
    report: Report, counts: Counts, caplog: pytest.LogCaptureFixture
) -> None:
    """What was settled meanwhile is counted when it is over."""
    report.beat(0.0, is_ready=True)
    caplog.clear()
    counts.now["updates"] = {"updated": 5, "invalid": 0}
    report.beat(WORKING_SECONDS, is_ready=False)
    assert not caplog.records
    report.beat(2 * WORKING_SECONDS, is_ready=True)
    ((_, fields),) = said(caplog)
    assert (fields["seconds"], fields["updates"]) == (120, 5)


def test_what_is_counted_are_the_metrics(caplog: pytest.LogCaptureFixture) -> None:
    """As they are in a worker, where what is not known is none."""
    caplog.set_level("INFO")
    report = Report(SETTINGS, Vitals(database="as it should be"), snapshot)
    report.beat(0.0, is_ready=True)
    report.beat(IDLE_SECONDS, is_ready=True)
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("level", "is_said"),
    [
        pytest.param(None, True, id="Celery's default"),
        pytest.param("WARNING", True, id="the same, said"),
        pytest.param(logging.INFO, True, id="more"),
        pytest.param("ERROR", False, id="less"),
    ],
)
def test_it_is_said_at_celerys_own_level(
    level: Any, is_said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which lets through no other information; who wants to read of errors alone does."""
    standing = logging.getLogger(logs.STANDING)
    monkeypatch.setattr(standing, "level", logging.NOTSET)
    monkeypatch.setattr(logging.getLogger(), "level", logging.ERROR)
    logs.let_through(level)
    standing.manager._clear_cache()  # type: ignore[attr-defined]
    assert standing.isEnabledFor(logging.INFO) is is_said
