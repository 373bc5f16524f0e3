"""The command `settle`, started as in a terminal: whoever presses Ctrl-C there ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def start(*arguments: str, environment: Mapping[str, str], **pipes: Any) -> subprocess.Popen[str]:
    """Start the command; its output is read from a pipe.

    Args:
        arguments: Its command line.
        environment: Variables besides ours.
        pipes: Others of `Popen`.
    """
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "cli", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        # A shell's background job, which these tests may run in, ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        **pipes,
    )
