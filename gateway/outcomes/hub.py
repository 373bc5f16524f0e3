"""One reader of the stream for all who listen, however many they are.

What it reads is shared: a listener keeps references, and no copy. So a thousand cost as much
as their tasks do, and all that waits for slow ones is bounded together: who is further behind than
that is cut. Reads only while somebody listens, from the end of the stream on; what was
before is read by `gateway.outcomes.feed`. While Redis is away listeners stay, and miss nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from gateway import metrics
from gateway.outcomes.stream import page_size, sizes_of
from service.channel import ChannelAwayError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.outcomes.filters import Filter
    from gateway.outcomes.positions import Extent, Position
    from gateway.outcomes.stream import Entry, Page, Stream

# Of outcomes that wait for listeners to take them, whoever they are for.
MAX_BEHIND_BYTES = 16 * 2**20
# Of Python's own for each outcome that waits, besides its text.
BYTES_PER_ENTRY = 400
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0


class Signal(Enum):
    """Something else than outcomes."""

    AWAY = auto()
    CUT = auto()
    STOPPING = auto()


class Heard(NamedTuple):
    """Outcomes, and the position up to which there are no others; `is_live` once caught up."""

    entries: list[Entry]
    position: Position
    is_live: bool = False


class Gone(NamedTuple):
    """Outcomes were trimmed before they were read; what comes next is behind a position."""

    position: Position
    extent: Extent


class _Chunk(NamedTuple):
    entries: list[Entry]
    accounts: frozenset[str | None]
    position: Position
    # How much the reader had read before it.
    at_bytes: int


class Listener:
    """Somebody who listens, and what waits for them."""

    def __init__(self, wanted: Filter, hub: Hub) -> None:
        """Begin where the reader is."""
        self._wanted, self._hub = wanted, hub
        self.begin = hub.position
        self._waiting: deque[_Chunk | Gone | Signal] = deque()
        self._awake = asyncio.Event()
        self._is_cut = False

    async def take(self, seconds: float) -> Heard | Gone | Signal:
        """Take what is next, or hear after some time that there is nothing."""
        if not (self._waiting or self._is_cut or self._hub.is_stopping):
            self._awake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._awake.wait()
        if self._is_cut:
            return Signal.CUT
        if self._hub.is_stopping:
            return Signal.STOPPING
        if not self._waiting:
            return Heard([], self._hub.position, is_live=True)
        step = self._waiting.popleft()
        if isinstance(step, _Chunk):
            taken = [one for one in step.entries if self._wanted.takes(one)]
            return Heard(taken, step.position, is_live=True)
        return step

    # -- for the reader --------------------------------------------------------------

    def offer(self, step: _Chunk | Gone | Signal) -> None:
        """Let something wait, unless it is for others."""
        accounts = self._wanted.accounts
        if isinstance(step, _Chunk) and accounts is not None and accounts.isdisjoint(step.accounts):
            return
        if not self._is_cut:
            self._waiting.append(step)
            self.wake()

    def cut_if_behind(self, read_bytes: int) -> bool:
        """Cut it if what waits has waited for too long; return whether it was."""
        oldest = next((step for step in self._waiting if isinstance(step, _Chunk)), None)
        if oldest is None or read_bytes - oldest.at_bytes <= MAX_BEHIND_BYTES:
            return False
        self.cut()
        return True

    def cut(self) -> None:
        """Let it go, with nothing that waits."""
        self._is_cut = True
        self._waiting.clear()
        self.wake()

    def wake(self) -> None:
        """Let it look again."""
        self._awake.set()


class Hub:
    """The reader, and who listens."""

    position: Position

    def __init__(self, stream: Stream) -> None:
        """Read nothing yet."""
        self._stream, self._size = stream, page_size()
        self._listeners: set[Listener] = set()
        self._reading: asyncio.Task[None] | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._pause_seconds = 0.0
        self._added: int | None = None
        self._read_bytes = 0
        self.is_stopping = self._is_closed = False
        metrics.LISTENERS.set_function(lambda: len(self._listeners))

    @asynccontextmanager
    async def join(self, wanted: Filter) -> AsyncIterator[Listener]:
        """Listen from where the reader is, which the listener says.

        Raises:
            ChannelAwayError: It reads nothing at present.
        """
        while self._reading is None:
            # All who come wait for one try: a server that hangs keeps nobody waiting for longer.
            if self._beginning is None or self._beginning.done():
                self._beginning = asyncio.create_task(self._begin())
            await asyncio.shield(self._beginning)
        if self._pause_seconds:
            raise ChannelAwayError
        listener = Listener(wanted, self)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def stop(self) -> None:
        """Let all listeners go, and whoever comes yet."""
        self.is_stopping = True
        for listener in self._listeners:
            listener.wake()

    async def close(self) -> None:
        """Read no more."""
        self._is_closed = True
        if self._reading is not None:
            self._reading.cancel()
            # redis-py may swallow that (Python 3.11): then it ends with what it waits for.
            await asyncio.wait([self._reading])

    async def _begin(self) -> None:
        extent = await self._stream.extent()
        self.position, self._added = extent.last, extent.added
        self._reading = asyncio.create_task(self._read_on(), name="outcomes")

    async def _read_on(self) -> None:
        try:
            # Who has waited for it comes while it reads.
            while True:
                try:
                    await self._read_some()
                except ChannelAwayError:
                    await self._wait_out()
                if self._is_closed or not self._listeners:
                    break
        finally:
            self._reading, self._pause_seconds = None, 0.0
            # Whatever ended it: nobody is to listen to nothing.
            for listener in self._listeners:
                listener.cut()

    async def _read_some(self) -> None:
        page = await self._stream.read(self.position, self._size.entries)
        self._pause_seconds = 0.0
        if not page.extent.has_all_behind(self.position, self._added):
            self._leap(page.extent)
        if page.entries:
            self._hand_out(page)
        else:
            # Counted anew after a server has lost some of its newest.
            self._added = page.extent.added
            await self._stream.wait(self.position)

    def _leap(self, extent: Extent) -> None:
        """Go on behind a gap, or at the end of a stream whose newest entries were lost."""
        is_at_end = extent.first is None or self.position > extent.last
        self.position = extent.next_after(self.position)
        self._added = extent.added if is_at_end else extent.trimmed
        metrics.TRIMMED.inc()
        for listener in self._listeners:
            listener.offer(Gone(self.position, extent))

    def _hand_out(self, page: Page) -> None:
        entries = page.entries
        accounts = frozenset(entry.account_id for entry in entries)
        self.position = entries[-1].position
        chunk = _Chunk(entries, accounts, self.position, self._read_bytes)
        self._size.learn(sizes_of(entries))
        self._read_bytes += sum(len(entry.text) + BYTES_PER_ENTRY for entry in entries)
        if self._added is not None:
            self._added += len(entries)
        for listener in self._listeners:
            listener.offer(chunk)
            if listener.cut_if_behind(self._read_bytes):
                metrics.CUT.inc()
        metrics.LAG_SECONDS.set(max(0.0, time.time() - self.position.milliseconds / 1_000))

    async def _wait_out(self) -> None:
        if not self._pause_seconds:
            for listener in self._listeners:
                listener.offer(Signal.AWAY)
        doubled = self._pause_seconds * 2 or FIRST_PAUSE_SECONDS
        self._pause_seconds = min(doubled, LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(self._pause_seconds)
