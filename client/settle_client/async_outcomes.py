"""The reading end of the result channel for asyncio.

What is read, acknowledged and waited for is `settle_client.reading`'s and
`settle_client.following`'s, as it is for `settle_client.outcomes`; here is the connection.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from settle_client import reading, task
from settle_client.errors import SettleError
from settle_client.following import Member
from settle_client.home import Home
from settle_client.names import OUTCOMES
from settle_client.redis_server import clients_of, open_reader
from settle_client.steps import Pause, Together, drive_async, iterate_async

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping

    from settle_client.outcome import Outcome


class AsyncOutcomeClient:
    """The reading end of the result channel, for one event loop: the first that uses it.

    Elsewhere all of it raises `BelongsElsewhereError`.
    """

    def __init__(self, url: str, **options: Any) -> None:
        """Read from the Redis that holds the result channel; connect when needed.

        Args:
            url: Of Redis or Valkey, or of its sentinels.
            options: Of redis-py's connections; behind sentinels `master_name`. A `retry`
                has no effect, for what is tried again is decided here.

        Raises:
            AddressError: The URL or an option cannot be meant.
        """
        self._client = open_reader(url, asynchronous=True, **options)
        self._is_closed = False
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
            yield iterate_async(reading.listen(), partial(self._listen, pubsub))

    async def _listen(self, pubsub: Any, step: Any) -> Any:
        self._home.check()
        match step:
            case reading.Hear(seconds):
                return await pubsub.get_message(timeout=seconds)
            case reading.Knock():
                return await pubsub.ping()
        await pubsub.connection.disconnect()
        return await asyncio.sleep(step.seconds)

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
        self,
        group: str,
        consumer: str,
        *,
        claim_after_seconds: float = 60.0,
        on_gone: Callable[[int | None], None] | None = None,
    ) -> AsyncGenerator[Outcome, None]:
        """Read the stream as one member of a consumer group, from its beginning.

        An outcome is acknowledged when the next one is asked for, by a fast caller
        a moment later, with others: leaving the loop early leaves the outcome at
        hand to be read again, dying may leave some that were handled just before. Python closes
        an abandoned loop some time later; `contextlib.aclosing` does it at once. For as
        long as work on one takes, this member's are renewed, and no other takes
        them over: as long as the event loop is not blocked. Work that never ends is never
        taken over either, so give it a time limit.

        Args:
            group: Made at the start of the stream if it does not exist.
            consumer: This member's name, and nobody else's at the same time; the same
                again resumes its work.
            claim_after_seconds: When the outcomes of a member that is gone are taken
                over by another; the same for all of a group.
            on_gone: Is called with how many outcomes were trimmed before the group had
                read them, None where Redis does not say (6.2). Otherwise the log says it.
        """
        member = Member(group, consumer, claim_after_seconds, on_gone)
        return iterate_async(member.follow(), self._ask, task.begin)

    async def close(self) -> None:
        """Close the connections, for good: what is left of a loop opens no other."""
        self._home.check()
        self._is_closed = True
        await self._disconnect()

    async def _disconnect(self) -> None:
        for client in clients_of(self._client):
            await client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, step: Any) -> Any:
        self._home.check()
        if self._is_closed:
            raise SettleError("the client is closed")
        try:
            return await self._do(step)
        finally:
            # It may have been about to connect.
            if self._is_closed:
                await self._disconnect()

    async def _do(self, step: Any) -> Any:
        if isinstance(step, Pause):
            # Those in use, by other tasks, may be well.
            await self._client.connection_pool.disconnect(inuse_connections=False)
            return await asyncio.sleep(step.seconds)
        if isinstance(step, Together):
            async with self._client.pipeline(transaction=True) as pipe:
                for command in step.commands:
                    pipe.execute_command(*command)
                return await pipe.execute(raise_on_error=False)
        return await self._client.execute_command(*step)
