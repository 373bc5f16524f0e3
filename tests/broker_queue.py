"""Whether a broker's queue is empty, as docs/upgrades.md has it: by the commands that it names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.service import Service

NOTHING_HELD = "0 messages waiting, 0 held by workers"


def has_left(service: Service) -> bool:
    """Return whether a Redis has nothing any more that a worker of its own is needed for."""
    queue = json.loads(_run(service, "top", "--json"))["queue"]
    if queue["messages"] or queue["delayed"]:
        return False
    return NOTHING_HELD in _run(service, "doctor")


def _run(service: Service, *arguments: str) -> str:
    environment = {**os.environ, **service.environment}
    command = [sys.executable, "-m", "cli", *arguments]
    # What the doctor says of other things is not asked for.
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    ).stdout
