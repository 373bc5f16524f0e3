"""The producer for asyncio: a task in the place of the thread, and no lock.

What is sent, when, and again when, is `settle_client.outbox`'s, as it is for
`settle_client.producer`; here are the task and the waiting.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

from settle_client.broker import make_async_queue
from settle_client.home import Home
from settle_client.outbox import Bell, Limits, Outbox, Push, Wait
from settle_client.steps import drive_async

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from settle_client.outbox import Steps
    from settle_client.update import StatusUpdate

Result = TypeVar("Result")


class AsyncProducer:
    """Sends status updates; one an event loop, for all its tasks.

    It belongs to the event loop in which it is first used.
    """

    def __init__(
        self,
        broker_url: str,
        *,
        max_wait_seconds: float = 0.005,
        max_unsent_updates: int = 10_000,
        timeout_seconds: float = 30.0,
        **transport_options: Any,
    ) -> None:
        """Connect nothing yet: that is done when there is something to send.

        Args:
            broker_url: As Celery takes it.
            max_wait_seconds: How long an update waits for others to travel with.
            max_unsent_updates: With so many unconfirmed, `send` waits.
            timeout_seconds: How long `send`, `flush` and `close` wait.
            transport_options: As `settle_client.Producer` takes them.

        Raises:
            AddressError: The URL or an option cannot be meant.
        """
        self._limits = Limits(max_wait_seconds, max_unsent_updates, timeout_seconds)
        self._queue = make_async_queue(broker_url, **transport_options)
        self._bells = {bell: asyncio.Event() for bell in Bell}
        self._outbox = Outbox(self._limits, self._ring)
        self._home = Home("AsyncProducer")
        self._task: asyncio.Task[None] | None = None

    # -- for callers -----------------------------------------------------------------

    async def send(self, update: StatusUpdate | Mapping[str, Any]) -> str:
        """Send one update as a message of its own, and return the message's id.

        Raises:
            InvalidUpdateError: It is not valid; the text names the field.
            NotSentError: There was no room for it in time; it is not sent.
            BelongsElsewhereError: This is another event loop, or a forked child.
        """
        return await self._take(self._outbox.send(update))

    async def send_together(self, updates: Iterable[StatusUpdate | Mapping[str, Any]]) -> str:
        """Send several updates in one message, and return the message's id.

        Args:
            updates: At least one, at most as many as workers take: 1,000 unless set.

        Raises:
            InvalidUpdateError: One is not valid; none of them is sent.
            NotSentError: There was no room for them in time; none of them is sent.
            BelongsElsewhereError: This is another event loop, or a forked child.
        """
        return await self._take(self._outbox.send_together(updates))

    async def _take(self, steps: Steps[str]) -> str:
        self._home.check()
        # Done before its time only if somebody has cancelled it.
        if not self._outbox.is_closed and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(
                drive_async(self._outbox.send_out(), self._perform), name="settle-producer"
            )
        if self._outbox.is_enough:
            # A loop that sends would let no other task run until there is no more room.
            await asyncio.sleep(0)
        return await drive_async(steps, self._perform)

    async def flush(self) -> None:
        """Wait until the broker has confirmed what was handed in so far.

        Raises:
            NotSentError: It has not, in time; what it has not is in `message_ids`
                and is still being tried.
            BelongsElsewhereError: This is another event loop, or a forked child.
        """
        self._home.check()
        await drive_async(self._outbox.flush(), self._perform)

    async def close(self) -> None:
        """Flush, and stop.

        Raises:
            NotSentError: See `flush`; nothing is tried any more.
            BelongsElsewhereError: This is another event loop, or a forked child.
        """
        self._home.check()
        deadline = time.monotonic() + self._limits.timeout_seconds
        try:
            await drive_async(self._outbox.close(), self._perform)
            if self._task is not None:
                left = max(0.0, deadline - time.monotonic())
                await asyncio.wait([self._task], timeout=left)
        finally:
            if self._task is not None:
                self._task.cancel()
            await self._queue.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- for the core ----------------------------------------------------------------

    def _ring(self, bell: Bell) -> None:
        # Whoever waits just now looks again; nobody else hears it.
        self._bells[bell].set()
        self._bells[bell].clear()

    async def _perform(self, step: Wait | Push) -> bool:
        if isinstance(step, Push):
            await self._queue.push(step.envelopes)
            return True
        try:
            async with asyncio.timeout(step.seconds):
                while not step.until():
                    await self._bells[step.bell].wait()
        except TimeoutError:
            return step.until()
        return True
