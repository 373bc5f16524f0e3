"""One reading at a time, for all who watch; none while nobody does."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from starlette.types import Receive, Scope, Send

    from cli.page.reading import Reading

INTERVAL_SECONDS = 2.0
# How soon somebody who watches learns that the page stops.
LOOK_UP_SECONDS = 0.5


class Watch:
    """Lets any number of people follow the readings."""

    def __init__(
        self, read: Callable[[], Reading], interval_seconds: float = INTERVAL_SECONDS
    ) -> None:
        """Begin with no reading.

        Args:
            read: Makes a reading; called in one thread alone.
            interval_seconds: From one to the next.
        """
        self.viewers = 0
        self._is_stopping = False
        self._read, self._interval_seconds = read, interval_seconds
        # One thread, for Celery has queues for answers by thread.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reading")
        self._next: asyncio.Task[Reading] | None = None
        self._latest: Reading | None = None
        self._due = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count one more who watches, for as long as the `with` block lasts."""
        self.viewers += 1
        try:
            yield
        finally:
            self.viewers -= 1

    async def follow(self) -> AsyncGenerator[Reading]:
        """Yield the latest reading, then each that is made, until the page stops."""
        if self._latest is not None and time.monotonic() < self._due:
            yield self._latest
        while not self._is_stopping:
            # Waiting for it does not end it when one of them goes.
            done, _ = await asyncio.wait({self._upcoming()}, timeout=LOOK_UP_SECONDS)
            for reading in done:
                yield reading.result()

    def stop(self) -> None:
        """Let everybody go who follows."""
        self._is_stopping = True

    def close(self) -> None:
        """Make no more readings."""
        self._thread.shutdown(cancel_futures=True)

    def _upcoming(self) -> asyncio.Task[Reading]:
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._make())
        return self._next

    async def _make(self) -> Reading:
        await asyncio.sleep(self._due - time.monotonic())
        self._due = time.monotonic() + self._interval_seconds
        loop = asyncio.get_running_loop()
        self._latest = await loop.run_in_executor(self._thread, self._read)
        return self._latest


class Followed(StreamingResponse):
    """Readings for one who watches, and is counted before anybody else is let in."""

    def __init__(self, watch: Watch, events: AsyncIterator[str]) -> None:
        super().__init__(events, 200, {"X-Accel-Buffering": "no"}, "text/event-stream")
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them until one of the two ends it."""
        with self._watch.watched():
            await super().__call__(scope, receive, send)
