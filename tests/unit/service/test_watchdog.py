"""A process that is to end does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from service import watchdog

HANGS = """
import logging, sys, time
from service import watchdog

logging.basicConfig(stream=sys.stderr)
watchdog.end_after(0.0, "it hangs" * int(sys.argv[1]), logging.getLogger())
time.sleep(600)
"""
MORE_THAN_A_PIPE_HOLDS = 1_000_000


@pytest.mark.parametrize(
    "length", [1, MORE_THAN_A_PIPE_HOLDS], ids=["into its log", "though nobody reads its log"]
)
def test_it_ends_and_says_why(length: int) -> None:
    """What it cannot say does not keep it."""
    command = (sys.executable, "-c", HANGS, str(length))
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            assert process.wait(20) == watchdog.EXIT_CODE
            assert process.stderr is not None
            assert b"it hangs" in process.stderr.read()
        finally:
            process.kill()
