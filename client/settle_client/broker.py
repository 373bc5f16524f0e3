"""Which queue a broker's URL names, for either face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from settle_client.kombu_queue import AsyncKombuQueue, KombuQueue
from settle_client.redis_queue import AsyncRedisQueue, RedisQueue
from settle_client.redis_server import names_redis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settle_client.envelope import Envelope


class Queue(Protocol):
    """Where messages are put. None tries again; after an error the next push connects anew."""

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """Put messages into the queue, in order; the broker has all of them on return."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class AsyncQueue(Protocol):
    """The same for asyncio."""

    async def push(self, envelopes: Sequence[Envelope]) -> None:
        """Put messages into the queue, in order; the broker has all of them on return."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def make_queue(url: str, **options: Any) -> Queue:
    """Make the queue of a broker; nothing is connected yet.

    Raises:
        AddressError: The URL or an option cannot be meant.
    """
    return RedisQueue(url, **options) if names_redis(url) else KombuQueue(url, **options)


def make_async_queue(url: str, **options: Any) -> AsyncQueue:
    """Make the same for asyncio.

    Raises:
        AddressError: The URL or an option cannot be meant.
    """
    if names_redis(url):
        return AsyncRedisQueue(url, **options)
    return AsyncKombuQueue(url, **options)
