"""The thread that says how the worker is: into its file, and into the log when it is stuck.

It waits for nothing that could hold it up, least of all for the event loop.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from celery.utils.log import get_logger

from worker.watching import statefile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from worker.watching.judging import Judgement

logger = get_logger(__name__)


class Pulse:
    """Records whether a worker is live and ready, at every beat."""

    def __init__(
        self, path: Path, node: str, live: Callable[[], Judgement], ready: Callable[[], Judgement]
    ) -> None:
        """Write nothing yet.

        Args:
            path: The file.
            node: The worker's node name.
            live: Says whether it is live.
            ready: Says whether it is ready.
        """
        self._path, self._node = path, node
        self._live, self._ready = live, ready
        self._was_live = self._could_write = True

    def beat(self, now: float) -> None:
        """Say it once.

        Args:
            now: In seconds, of the monotonic clock.
        """
        live, ready = self._live(), self._ready()
        if not live.holds and self._was_live:
            logger.critical("The worker is %s. Its threads are at:\n%s", live.why, stacks())
        elif live.holds and not self._was_live:
            logger.critical("The worker is not stuck any more.")
        self._was_live = live.holds
        state = {
            "node": self._node,
            "pid": os.getpid(),
            "process_began": statefile.process_began(os.getpid()),
            "written_at": now,
            "live": live,
            "ready": ready,
        }
        try:
            statefile.write(self._path, state)
        except OSError as error:
            if self._could_write:
                logger.warning(
                    "`settle health` will not know: %s cannot be written: %s",
                    *(self._path, error.strerror),
                )
            self._could_write = False

    def end(self) -> None:
        """Take the file away: there is no worker any more."""
        with suppress(OSError):
            self._path.unlink()


def stacks() -> str:
    """Return where every thread of this process is."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - documented, and the only way
    )
