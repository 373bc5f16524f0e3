"""How a process ends that does not come to an end by itself."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

# For what comes after the batches in a stop.
GRACE_SECONDS = 5.0
EXIT_CODE = 1
# The log may be what hangs: nobody reads it, or its disk is full.
LAST_WORDS_SECONDS = 1.0


def end_after(seconds: float, why: str, logger: logging.Logger) -> None:
    """End this process after some seconds, should it still be there.

    Args:
        seconds: From now.
        why: What is written into the log then, if that can be written.
        logger: Where to.
    """
    timer = threading.Timer(seconds, _end, (why, logger))
    timer.daemon = True
    timer.start()


def _end(why: str, logger: logging.Logger) -> None:
    try:
        words = threading.Thread(target=logger.error, args=(why,), daemon=True)
        words.start()
        words.join(LAST_WORDS_SECONDS)
    finally:
        os._exit(EXIT_CODE)
