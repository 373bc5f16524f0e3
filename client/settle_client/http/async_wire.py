"""The same as `settle_client.http.wire` for asyncio."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from settle_client.http.exchange import Answer, Ask, Open
from settle_client.http.transport import answer_of, be_patient, is_stream, made, translated
from settle_client.steps import Pause

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from settle_client.home import Home


class Wire:
    """One caller's way to the gateway: a request at a time, or a stream."""

    def __init__(self, client: Any, home: Home) -> None:
        self._client, self._home = client, home
        self._response: Any = None
        self._pieces: AsyncIterator[bytes] | None = None

    async def perform(self, step: Any) -> Any:
        """Do a step of a core."""
        self._home.check()
        if isinstance(step, Pause):
            await self.aclose()
            return await asyncio.sleep(step.seconds)
        with translated(self._client):
            if isinstance(step, Ask):
                return await self._ask(step)
            if isinstance(step, Open):
                return await self._open(step)
            return b"" if self._pieces is None else await anext(self._pieces, b"")

    async def _ask(self, step: Ask) -> Answer:
        request = made(self._client, step.request, step.silent_seconds)
        async with asyncio.timeout(step.seconds):
            response = await self._client.send(request, stream=True)
            async with aclosing(response):
                return answer_of(response, await response.aread())

    async def _open(self, step: Open) -> Answer:
        await self.aclose()
        request = made(self._client, step.request, step.seconds)
        self._response = await self._client.send(request, stream=True)
        be_patient(request, step.silent_seconds)
        if is_stream(self._response):
            self._pieces = self._response.aiter_bytes()
            return answer_of(self._response, b"")
        async with asyncio.timeout(step.seconds):
            return answer_of(self._response, await self._response.aread())

    async def aclose(self) -> None:
        """Close the stream that is open."""
        response, self._response, self._pieces = self._response, None, None
        if response is not None:
            await response.aclose()
