"""Ctrl-C, and other signals to end, while something is put in order that must not be left halfway.

Whoever is impatient presses it again: what was begun for them is taken back all the same. It
is for what comes to an end by itself within a known time.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Heed none of these signals; for the main thread."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in TO_END}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
