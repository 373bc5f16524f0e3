"""Lines that a person is to type into a shell: what they need to work there.

A command that runs knows how to be found; the shell that it tells somebody to use need not:
not under uv, and not in another terminal.
"""

from __future__ import annotations

import shlex
import sysconfig


def find_commands() -> str:
    """Return the line after which a shell finds `settle` and `celery`, and these ones."""
    return f'export PATH={shlex.quote(sysconfig.get_path("scripts"))}:"$PATH"'
