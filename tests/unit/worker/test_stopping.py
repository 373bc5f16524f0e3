"""Signals decide how long a stop may take."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from celery.signals import worker_shutting_down
from celery.worker import state

from service import watchdog
from worker.seams import stopping

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Collect after how many seconds the process would be ended, and put signals back."""
    asked: list[float] = []
    monkeypatch.setattr(watchdog, "end_after", lambda seconds, *_: asked.append(seconds))
    monkeypatch.setattr(state, "should_terminate", None)
    before = signal.getsignal(signal.SIGTERM)
    yield asked
    signal.signal(signal.SIGTERM, before)


def shut_down(how: str) -> None:
    """Send the signal that Celery sends when it has been given a signal."""
    worker_shutting_down.send(sender="worker", how=how)


def test_a_first_signal_leaves_the_time_that_is_set(ends_after: list[float]) -> None:
    """Batches may finish."""
    shut_down("Warm")
    assert ends_after[0] > stopping.HARD_STOP_SECONDS
    assert state.should_terminate is None


def test_a_second_signal_is_hard(ends_after: list[float]) -> None:
    """It does not reach Celery any more."""
    shut_down("Warm")
    signal.raise_signal(signal.SIGTERM)
    assert ends_after[1:] == [stopping.HARD_STOP_SECONDS]
    assert state.should_terminate


def test_a_second_signal_is_hard_however_early(ends_after: list[float]) -> None:
    """Celery may learn of it too, when the first has only just come."""
    shut_down("Warm")
    shut_down("Warm")
    assert ends_after[1:] == [stopping.HARD_STOP_SECONDS]
    assert state.should_terminate


def test_a_cold_stop_is_hard(ends_after: list[float]) -> None:
    """Nobody waits for slots."""
    shut_down("Cold")
    assert ends_after == [stopping.HARD_STOP_SECONDS]
