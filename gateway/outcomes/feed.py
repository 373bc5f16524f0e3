"""What one listener gets: the stream from a position on, and then what comes, without a gap.

By itself it reads until the stream ends; then, having joined those who listen, up to where their
reader was at that moment. What that reader hands out is behind it. So there is no moment
between the two in which an outcome could be missed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.outcomes.hub import Gone, Heard, Signal
from gateway.outcomes.stream import page_size, sizes_of
from service.channel import ChannelAwayError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from gateway.outcomes.filters import Filter
    from gateway.outcomes.hub import Hub
    from gateway.outcomes.positions import Extent, Position
    from gateway.outcomes.stream import Page, Stream

    Step = Heard | Gone | Signal

# So many read at once what was before they came; the others wait for their turn.
CATCHING_UP = 8
LAST = (Signal.CUT, Signal.STOPPING)


class TrimmedError(Exception):
    """Outcomes behind a position are gone.

    Attributes:
        begin: Where to begin: a position, or None for the oldest, whichever that is then.
    """

    def __init__(self, after: Position, extent: Extent) -> None:
        super().__init__(str(after))
        # By its position the oldest would be gone again, where much is published.
        self.begin = extent.last if after > extent.last else None


class Feed:
    """The stream, for those who want some of it."""

    def __init__(self, stream: Stream, hub: Hub) -> None:
        self._stream, self._hub = stream, hub
        self._turns = asyncio.Semaphore(CATCHING_UP)

    async def follow(
        self,
        wanted: Filter,
        after: Position | None,
        *,
        from_oldest: bool = False,
        quiet_seconds: Callable[[], float],
    ) -> AsyncGenerator[Step]:
        """Yield outcomes from a position on, until the listener is let go; at first, where it is.

        Args:
            wanted: Those that are given.
            after: None for from now on.
            from_oldest: Begin with what there is, if something behind the position is gone.
            quiet_seconds: After how long without any that is said.

        Raises:
            TrimmedError: Some are gone; never after the first step.
            ChannelAwayError: Redis is away; never after the first step.
        """
        has_begun = False
        try:
            async for step in self._steps(wanted, after, from_oldest, quiet_seconds):
                yield step
                has_begun = True
                if step in LAST:
                    return
        except ChannelAwayError:
            if not has_begun:
                raise
            yield Signal.AWAY

    async def _steps(
        self,
        wanted: Filter,
        after: Position | None,
        from_oldest: bool,
        quiet_seconds: Callable[[], float],
    ) -> AsyncIterator[Step]:
        if after is not None:
            # Seen before anything is given: from here on, what is gone is given as such.
            extent = (await self._read(after, 1)).extent
            if not extent.has_all_behind(after):
                if not from_oldest:
                    raise TrimmedError(after, extent)
                after = extent.next_after(after)
            async for step in self._catch_up(wanted, after):
                yield step
                after = step.position
        async with self._hub.join(wanted) as listener:
            after = after or listener.begin
            yield Heard([], after, is_live=True)
            async for step in self._catch_up(wanted, after, listener.begin):
                yield step
                after = step.position
            while True:
                heard = await listener.take(quiet_seconds())
                if isinstance(heard, Heard):
                    heard = _behind(after, heard)
                yield heard
                after = after if isinstance(heard, Signal) else heard.position

    async def _catch_up(
        self, wanted: Filter, after: Position, until: Position | None = None
    ) -> AsyncIterator[Heard | Gone]:
        """Yield what is behind a position, to another or to the end of the stream."""
        size, is_over = page_size(), False
        while not is_over and not self._hub.is_stopping and (until is None or after < until):
            page = await self._read(after, size.entries)
            if not page.extent.has_all_behind(after):
                after = page.extent.next_after(after)
                yield Gone(after, page.extent)
            is_over = len(page.entries) < size.entries
            size.learn(sizes_of(page.entries))
            if page.entries:
                after = page.entries[-1].position
                yield Heard([one for one in page.entries if wanted.takes(one)], after)

    async def _read(self, after: Position, count: int) -> Page:
        async with self._turns:
            return await self._stream.read(after, count)


def _behind(after: Position, heard: Heard) -> Heard:
    """Leave out what was read already: the reader of all may be behind a reader of its own."""
    entries = [entry for entry in heard.entries if entry.position > after]
    return heard._replace(entries=entries, position=max(after, heard.position))
