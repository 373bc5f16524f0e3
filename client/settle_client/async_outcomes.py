"""The reading end of the result channel for asyncio.

What is read, acknowledged and waited for is `settle_client.reading`'s, as it is for
`settle_client.outcomes`; here is the connection.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from settle_client import reading
from settle_client.home import Home
from settle_client.names import OUTCOMES
from settle_client.redis_server import clients_of, open_client
from settle_client.steps import drive_async, iterate_async

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping

    from settle_client.outcome import Outcome


class AsyncOutcomeClient:
    """The reading end of the result channel, for one event loop: the first that uses it.

    Elsewhere all of it raises `BelongsElsewhereError`.
    """

    def __init__(self, url: str, **options: Any) -> None:
        """Read from the Redis that holds the result channel; connect when needed.

        Args:
            url: Of Redis or Valkey, or of its sentinels.
            options: Of redis-py's connections; behind sentinels `master_name`.

        Raises:
            AddressError: The URL or an option cannot be meant.
        """
        self._client = open_client(url, asynchronous=True, decode_responses=True, **options)
        self._home = Home("AsyncOutcomeClient")

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[Outcome]]:
        """Listen to the outcomes that are published inside the `async with` block.

        Yields:
            An endless iterator. Outcomes published while nobody listens are
            not heard: use `follow` where they matter.
        """
        self._home.check()
        async with self._client.pubsub() as pubsub:
            await pubsub.subscribe(OUTCOMES)
            # Wait for the confirmation: from here on nothing is missed.
            await pubsub.get_message(timeout=None)
            yield self._listen(pubsub)

    async def _listen(self, pubsub: Any) -> AsyncIterator[Outcome]:
        while True:
            self._home.check()
            message = await pubsub.get_message(timeout=reading.BLOCK_SECONDS)
            if outcome := reading.heard(message):
                yield outcome

    async def position(self) -> str:
        """Return where the stream ends now, to read from there later."""
        return await drive_async(reading.position(), self._ask)

    async def poll(self, since: str, *, wait_seconds: float) -> list[tuple[str, Outcome]]:
        """Read what the stream holds after a position, waiting for it if it is nothing yet.

        Args:
            since: A position; `0-0` is before the oldest entry.
            wait_seconds: How long to wait at most.

        Returns:
            Some of the next outcomes, each with its position; nothing if none came.
        """
        return await drive_async(reading.poll(since, wait_seconds), self._ask)

    def read(self, since: str = "0-0") -> AsyncGenerator[Outcome, None]:
        """Read the stream from a position on, by default its start, and go on waiting for more."""
        return iterate_async(reading.read(since), self._ask)

    def wait(
        self,
        messages: Mapping[str, Collection[str]],
        *,
        timeout_seconds: float,
        since: str = "0-0",
    ) -> AsyncGenerator[Outcome, None]:
        """Wait for the outcomes of messages, yielding each once as it comes.

        Args:
            messages: The event ids in each message, by message id.
            timeout_seconds: For all of them together.
            since: A position taken before the messages were sent, so that the
                whole stream need not be read.

        Raises:
            TimeoutError: Some outcomes have not come in time; it says how many.
        """
        return iterate_async(reading.wait(messages, timeout_seconds, since), self._ask)

    def follow(
        self, group: str, consumer: str, *, claim_after_seconds: float = 60.0
    ) -> AsyncGenerator[Outcome, None]:
        """Read the stream as one member of a consumer group, from its beginning.

        An outcome is acknowledged when the next one is asked for: leaving the
        loop early, or dying, leaves the outcome at hand to be read again. Python closes
        an abandoned loop some time later; `contextlib.aclosing` does it at once.

        Args:
            group: Made at the start of the stream if it does not exist.
            consumer: This member's name; the same again resumes its work.
            claim_after_seconds: When a member's unacknowledged outcomes are
                taken over by another.
        """
        return iterate_async(reading.follow(group, consumer, claim_after_seconds), self._ask)

    async def close(self) -> None:
        """Close the connections."""
        self._home.check()
        for client in clients_of(self._client):
            await client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, command: tuple[Any, ...]) -> Any:
        self._home.check()
        return await self._client.execute_command(*command)
