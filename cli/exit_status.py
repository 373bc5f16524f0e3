"""What a command ends with, for scripts: the numbers, and what each means."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
NOT_UPDATED: Final = 3
NO_OUTCOME: Final = 4
INTERRUPTED: Final = 130
STOPPED: Final = 143
