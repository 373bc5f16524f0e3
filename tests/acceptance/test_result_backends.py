"""Which result backends there may be: a worker says at once which one cannot serve it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.service import Service


@pytest.mark.parametrize(
    "backend", ["rpc://", "celery.backends.rpc.RPCBackend", "nonsense://user:hush@host"]
)
def test_a_backend_that_cannot_serve_is_refused_at_start(service: Service, backend: str) -> None:
    """In one line that names the setting and the reason, and quotes no secret."""
    settings = {**os.environ, **service.environment, "C_FORCE_ROOT": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "worker"],
        env={**settings, "CELERY_RESULT_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    said = [line for line in ended.stderr.splitlines() if line.startswith("settle: ")]
    assert len(said) == 1
    assert "CELERY_RESULT_BACKEND: " in said[0]
    assert ("rpc" in backend) is ("redis://" in said[0])
    assert "hush" not in ended.stderr
    assert "Traceback" not in ended.stderr
