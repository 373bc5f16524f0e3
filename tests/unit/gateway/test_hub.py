"""The one reader of outcomes, as a gateway stops."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.outcomes.filters import Filter
from gateway.outcomes.hub import Hub
from gateway.outcomes.positions import BEGINNING, Extent
from gateway.outcomes.stream import Page

NOTHING = Extent(None, BEGINNING, 0, 0)


class DeafStream:
    """A stream with nothing in it, read by a client that passes over being cancelled once."""

    def __init__(self) -> None:
        self.is_waited_for = asyncio.Event()

    async def extent(self) -> Extent:
        """Return how far it reaches."""
        return NOTHING

    async def read(self, *_: Any) -> Page:
        """Return nothing."""
        return Page([], NOTHING)

    async def wait(self, _: Any) -> None:
        """Wait until cancelled, and say nothing of it."""
        self.is_waited_for.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return


def test_a_reader_ends_whose_client_swallows_that_it_was_cancelled() -> None:
    """As redis-py's does now and then where Python's `wait_for` does, in 3.11."""

    async def close() -> None:
        stream: Any = DeafStream()
        hub = Hub(stream)
        async with hub.join(Filter(None)):
            await stream.is_waited_for.wait()
            async with asyncio.timeout(30):
                await hub.close()

    asyncio.run(close())
