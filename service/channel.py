"""The Redis of the result channel, asked from the event loop: whatever goes wrong is one error.

Its trouble is in the log once while it lasts, however many ask: they wait for each other, where
redis-py would refuse whoever finds all connections taken. What is written by the threads
that settle goes its own way (`gateway.events.publishing`).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import redis

from service.trouble_log import TroubleLog
from settle_client.redis_server import SOCKET_TIMEOUT_SECONDS, clients_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# So many ask at once, each on a connection; redis-py makes 100.
ASKING = 50


class ChannelAwayError(Exception):
    """Redis did not answer, or not what was asked for."""


class Channel:
    """A client of redis-py that is awaited, and whether it is in trouble."""

    def __init__(self, client: Any) -> None:
        """Connect nothing yet.

        Args:
            client: See `settle_client.redis_server.open_reader`.
        """
        self._client = client
        self._turns = asyncio.Semaphore(ASKING)
        self._trouble = TroubleLog("outcomes are read again")

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[Any]:
        """Give the client, when it is one's turn; not to be asked for again meanwhile.

        Raises:
            ChannelAwayError: It could not do what it was asked for.
        """
        try:
            async with asyncio.timeout(SOCKET_TIMEOUT_SECONDS):
                await self._turns.acquire()
            try:
                yield self._client
            finally:
                self._turns.release()
        except (redis.RedisError, OSError) as error:
            text = f"{type(error).__name__}: {error}"
            self._trouble.note("outcomes cannot be read", text)
            raise ChannelAwayError(text) from error
        self._trouble.is_over()

    async def close(self) -> None:
        """Close the connections."""
        for client in clients_of(self._client):
            await client.aclose()
