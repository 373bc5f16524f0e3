"""Where an object of the asyncio face belongs: one process, one event loop."""

from __future__ import annotations

import asyncio
import os

from settle_client.errors import BelongsElsewhereError


class Home:
    """The process and the event loop in which something was first used."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process_id = 0

    def check(self) -> None:
        """See that this is the place, or make it so if there is none yet.

        Raises:
            BelongsElsewhereError: It is another process, or another event loop.
        """
        if self._loop is None:
            self._loop, self._process_id = asyncio.get_running_loop(), os.getpid()
        elif self._process_id != os.getpid():
            raise BelongsElsewhereError(
                f"this {self._name} was used before the process was forked: make one in the child"
            )
        elif self._loop is not asyncio.get_running_loop():
            raise BelongsElsewhereError(
                f"this {self._name} was first used in another event loop: make one in each"
            )
