"""The producer for several shards, for asyncio: see `settle_client.sharded_producer`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from settle_client.async_producer import AsyncProducer
from settle_client.errors import NotSentError, NotSentToShardsError
from settle_client.sharding import Shards, check_urls, messages_of, raise_together

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

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
        self._producers = [
            AsyncProducer(url, timeout_seconds=timeout_seconds, **options) for url in urls
        ]

    async def send(self, update: StatusUpdate | Mapping[str, Any]) -> str:
        """Send one update as a message of its own, and return the message's id.

        Raises:
            InvalidUpdateError: It is not valid; the text names the field.
            IndexError: There is no shard of the number that was chosen.
            NotSentToShardsError: There was no room for it in time; it is not sent.
            BelongsElsewhereError: This is another event loop, or a forked child.
        """
        number = self._shards.of(update)
        try:
            return await self._producers[number].send(update)
        except NotSentError as error:
            raise NotSentToShardsError({number: error}, {}) from error.__cause__

    async def send_together(
        self, updates: Iterable[StatusUpdate | Mapping[str, Any]]
    ) -> dict[str, list[str]]:
        """Send several updates in a message for each shard, and return the ids in each.

        Whoever cancels it does not hear which parts went: a shard that had room for its part
        sends it all the same. So let a task of its own do it, behind `asyncio.shield`, and
        ask that one for the ids; or send all of them again, which settles nothing twice.

        Returns:
            The events' ids, by the message's id: what `AsyncOutcomeClient.wait` takes.

        Raises:
            InvalidUpdateError: One is not valid; none of them is sent.
            IndexError: There is no shard of a number that was chosen; none of them is sent.
            NotSentToShardsError: There was no room in time for a shard's; what the others have
                taken is in its `sent`.
            BelongsElsewhereError: This is another event loop, or a forked child.
        """
        parts = self._shards.split(updates)
        ended = await _side_by_side(
            {number: self._producers[number].send_together(part) for number, part in parts.items()}
        )
        sent = messages_of(ended, parts)
        raise_together(ended, sent)
        return sent

    async def flush(self) -> None:
        """Wait until the brokers have confirmed what was handed in so far.

        Raises:
            NotSentToShardsError: One has not, in time; see `AsyncProducer.flush`.
            BelongsElsewhereError: This is another event loop, or a forked child.
        """
        await self._for_each(AsyncProducer.flush)

    async def close(self) -> None:
        """Flush, and stop.

        Raises:
            NotSentToShardsError: See `flush`; nothing is tried any more.
            BelongsElsewhereError: This is another event loop, or a forked child.
        """
        await self._for_each(AsyncProducer.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _for_each(self, wait: Callable[[AsyncProducer], Coroutine[Any, Any, None]]) -> None:
        calls = {number: wait(one) for number, one in enumerate(self._producers)}
        raise_together(await _side_by_side(calls))


async def _side_by_side(calls: Mapping[int, Coroutine[Any, Any, Any]]) -> dict[int, Any]:
    """Return what came of each: a broker that is away takes all the time that there is."""
    ended = await asyncio.gather(*calls.values(), return_exceptions=True)
    return dict(zip(calls, ended, strict=True))
