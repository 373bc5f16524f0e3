"""How all parts of the process stop: each looks whether it is to, at least once a second.

Nothing is cancelled as long as it ends by itself. On Python 3.11 a task that waits for Redis may
miss that it was: `asyncio.wait_for` swallows it where what it waits for is done at that
moment.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Stop:
    """Whether this process is to stop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    @property
    def is_asked(self) -> bool:
        """Return whether it is."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Say that it is."""
        self._asked.set()

    async def wait(self) -> None:
        """Wait until it is."""
        await self._asked.wait()

    async def pause(self, seconds: float) -> None:
        """Wait for some time, or until it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()
