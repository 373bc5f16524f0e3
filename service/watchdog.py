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


def end_after(seconds: float, why: str, logger: logging.Logger) -> None:
    """End this process after some seconds, should it still be there.

    Args:
        seconds: From now.
        why: What is written into the log then.
        logger: Where to.
    """

    def end() -> None:
        logger.error(why)
        os._exit(EXIT_CODE)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
