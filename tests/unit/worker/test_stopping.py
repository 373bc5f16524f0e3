"""Signals decide how long a stop may take."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from celery.signals import worker_shutting_down
from celery.worker import state

from service import watchdog
from worker.seams import stopping

# The second SIGTERM lands at one instruction after the other of what is done about the first.
AT_EVERY_INSTRUCTION = """
import itertools, signal, sys
from types import SimpleNamespace
from celery.apps import worker
from celery.worker import state
from worker.seams import stopping

OURS = (worker.__file__, stopping.__file__, sys.modules["celery.utils.dispatch.signal"].__file__)
asked = []
stopping.end_after = asked.append
worker.safe_say = lambda *_: None
worker.install_worker_term_handler(SimpleNamespace(hostname="w"))


def is_hard_at(number):
    stopping._signals = itertools.count()
    state.should_terminate = None
    asked.clear()
    left = iter(range(number))

    def trace(frame, event, _):
        if frame.f_code.co_filename not in OURS:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and next(left, None) == number - 1:
            signal.raise_signal(signal.SIGTERM)
        return trace

    sys.settrace(trace)
    signal.raise_signal(signal.SIGTERM)
    sys.settrace(None)
    if next(left, None) is not None:
        return None
    return stopping.HARD_STOP_SECONDS in asked and bool(state.should_terminate)


for number in itertools.count(1):
    is_hard = is_hard_at(number)
    if is_hard is None:
        break
    assert is_hard, f"lost at instruction {number}"
print(number)
"""


@pytest.fixture
def ends_after(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Collect after how many seconds the process would be ended."""
    asked: list[float] = []
    monkeypatch.setattr(watchdog, "end_after", lambda seconds, *_: asked.append(seconds))
    monkeypatch.setattr(state, "should_terminate", None)
    monkeypatch.setattr(stopping, "_signals", itertools.count())
    return asked


def shut_down(how: str) -> None:
    """Send the signal that Celery sends when it has been given a signal."""
    worker_shutting_down.send(sender="worker", how=how)


def test_a_first_signal_leaves_the_time_that_is_set(ends_after: list[float]) -> None:
    """Batches may finish."""
    shut_down("Warm")
    assert ends_after[0] > stopping.HARD_STOP_SECONDS
    assert state.should_terminate is None


def test_a_second_signal_is_hard(ends_after: list[float]) -> None:
    """Celery itself would go on with the first."""
    shut_down("Warm")
    shut_down("Warm")
    assert ends_after[1:] == [stopping.HARD_STOP_SECONDS]
    assert state.should_terminate


def test_a_second_signal_is_hard_however_early() -> None:
    """It is not lost and waits for nothing, whatever is being done about the first."""
    command = (sys.executable, "-c", AT_EVERY_INSTRUCTION)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_a_cold_stop_is_hard(ends_after: list[float]) -> None:
    """Nobody waits for slots."""
    shut_down("Cold")
    assert ends_after == [stopping.HARD_STOP_SECONDS]
