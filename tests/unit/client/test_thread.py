"""What is repeated beside the others, in a thread."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from settle_client.steps import Repeat
from settle_client.thread import begin
begin(Repeat(300.0, lambda: iter(())), lambda step: None)
"""


def test_a_program_ends_although_something_is_repeated() -> None:
    """Nobody has to close a client for that."""
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
