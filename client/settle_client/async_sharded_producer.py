"""The producer for several shards, for asyncio: see `settle_client.sharded_producer`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from settle_client.async_producer import AsyncProducer
from settle_client.sharding import Shards, check_urls, raise_together

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from settle_client.update import StatusUpdate


class AsyncShardedProducer:
    """Sends status updates to the shards of their events; one an event loop."""

    def __init__(
        self,
        broker_urls: Sequence[str],
        *,
        shard_of: Callable[[StatusUpdate], int] | None = None,
        timeout_seconds: float = 30.0,
        **options: Any,
    ) -> None:
        """Connect nothing yet; the arguments are those of `settle_client.ShardedProducer`.

        Raises:
            AddressError: A URL or an option cannot be meant, or there is none, or twice one.
        """
        urls = check_urls(broker_urls)
        self._shards = Shards(len(urls), shard_of)
        self._timeout_seconds = timeout_seconds
        self._producers = [
            AsyncProducer(url, timeout_seconds=timeout_seconds, **options) for url in urls
        ]

    async def send(self, update: StatusUpdate | Mapping[str, Any]) -> str:
        """Send one update as a message of its own, and return the message's id.

        Raises:
            InvalidUpdateError: It is not valid; the text names the field.
            IndexError: There is no shard of the number that was chosen.
            NotSentError: There was no room for it in time; it is not sent.
            BelongsElsewhereError: This is another event loop, or a forked child.
        """
        return await self._producers[self._shards.of(update)].send(update)

    async def send_together(
        self, updates: Sequence[StatusUpdate | Mapping[str, Any]]
    ) -> dict[str, list[str]]:
        """Send several updates in a message for each shard, and return the ids in each.

        Returns:
            The events' ids, by the message's id: what `AsyncOutcomeClient.wait` takes.

        Raises:
            InvalidUpdateError: One is not valid; none of them is sent.
            IndexError: There is no shard of a number that was chosen; none of them is sent.
            NotSentError: There was no room in time for a shard's, and those of the shards after it
                are not sent either.
            BelongsElsewhereError: This is another event loop, or a forked child.
        """
        return {
            await self._producers[number].send_together(part): [update.id for update in part]
            for number, part in self._shards.split(updates).items()
        }

    async def flush(self) -> None:
        """Wait until the brokers have confirmed what was handed in so far.

        Raises:
            NotSentError: One has not, in time; see `AsyncProducer.flush`.
            BelongsElsewhereError: This is another event loop, or a forked child.
        """
        await self._for_each(AsyncProducer.flush)

    async def close(self) -> None:
        """Flush, and stop.

        Raises:
            NotSentError: See `flush`; nothing is tried any more.
            BelongsElsewhereError: This is another event loop, or a forked child.
        """
        await self._for_each(AsyncProducer.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _for_each(self, wait: Callable[[AsyncProducer], Coroutine[Any, Any, None]]) -> None:
        ended = await asyncio.gather(*map(wait, self._producers), return_exceptions=True)
        errors = [one for one in ended if isinstance(one, BaseException)]
        raise_together(errors, self._timeout_seconds)
