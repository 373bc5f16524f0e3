"""Pressure that lasts, as it is measured: all is counted, and an early end is said."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import fakeredis
import psycopg
import pytest
from click.testing import CliRunner

from bench import soak
from bench.errors import BenchError
from bench.processes import process
from bench.rig import Rig
from settle_client.names import OUTCOMES

if TYPE_CHECKING:
    from pathlib import Path


def test_outcomes_that_were_trimmed_have_been_published() -> None:
    """A stream keeps the latest only, and a run that lasts has more."""
    rig = Rig("", "redis://localhost/0")
    rig.redis = fakeredis.FakeRedis(decode_responses=True)
    assert rig.published() == 0
    for number in range(20):
        rig.redis.xadd(OUTCOMES, {"outcome": number}, maxlen=5, approximate=False)
    assert rig.published() == 20


def test_a_worker_that_ends_is_said_to_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no matter of a process that cannot be looked at."""
    for name in ("Sampler", "psycopg"):
        monkeypatch.setattr(soak, name, MagicMock())
    with process([sys.executable, "-c", "input()"], dict(os.environ)) as worker:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        with pytest.raises(BenchError, match="the worker ended: signal 9"):
            next(soak.samples(Rig("", "redis://localhost/0"), worker, 60))


@pytest.mark.parametrize("error", [BenchError("it ended"), psycopg.OperationalError("gone")])
def test_a_run_that_fails_says_so_in_a_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Without a traceback."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(soak, "run", fail)
    result = CliRunner().invoke(soak.main, ["--minutes", "1"])
    assert (result.exit_code, result.output) == (1, f"Error: nothing was measured: {error}\n")


def test_a_folder_that_is_not_there_is_found_out_at_once(tmp_path: Path) -> None:
    """And not after half an hour."""
    result = CliRunner().invoke(soak.main, ["--folder", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "does not exist" in result.output
