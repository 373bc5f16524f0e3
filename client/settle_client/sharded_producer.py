"""A producer for several shards: each has a producer of its own, and an event always the same.

For whom one broker, or one database, is not enough (docs/scaling.md). What is sent, and
how, is each shard's `settle_client.producer`; `settle_client.sharding` chooses.
`settle_client.async_sharded_producer` is the same for asyncio.
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from settle_client.errors import NotSentError, NotSentToShardsError
from settle_client.producer import Producer
from settle_client.sharding import Shards, check_urls, messages_of, raise_together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from settle_client.update import StatusUpdate


class ShardedProducer:
    """Sends status updates to the shards of their events."""

    def __init__(
        self,
        broker_urls: Sequence[str],
        *,
        shard_of: Callable[[StatusUpdate], int] | None = None,
        timeout_seconds: float = 30.0,
        **options: Any,
    ) -> None:
        """Connect nothing yet.

        Args:
            broker_urls: A broker for each shard, always in the same order.
            shard_of: Returns the place of an update's broker among them; without it that
                is the CRC-32 of the event's id modulo their number.
            timeout_seconds: As `Producer` takes it, for all shards at once.
            options: As `Producer` takes them, for each.

        Raises:
            AddressError: A URL or an option cannot be meant, or there is none, or twice one.
        """
        urls = check_urls(broker_urls)
        self._shards = Shards(len(urls), shard_of)
        self._producers = [
            Producer(url, timeout_seconds=timeout_seconds, **options) for url in urls
        ]

    def send(self, update: StatusUpdate | Mapping[str, Any]) -> str:
        """Send one update as a message of its own, and return the message's id.

        Raises:
            InvalidUpdateError: It is not valid; the text names the field.
            IndexError: There is no shard of the number that was chosen.
            NotSentToShardsError: There was no room for it in time; it is not sent.
        """
        number = self._shards.of(update)
        try:
            return self._producers[number].send(update)
        except NotSentError as error:
            raise NotSentToShardsError({number: error}, {}) from error.__cause__

    def send_together(
        self, updates: Iterable[StatusUpdate | Mapping[str, Any]]
    ) -> dict[str, list[str]]:
        """Send several updates in a message for each shard, and return the ids in each.

        Args:
            updates: At least one, at most as many for a shard as workers take.

        Returns:
            The events' ids, by the message's id: what `OutcomeClient.wait` takes.

        Raises:
            InvalidUpdateError: One is not valid; none of them is sent.
            IndexError: There is no shard of a number that was chosen; none of them is sent.
            NotSentToShardsError: There was no room in time for a shard's; what the others have
                taken is in its `sent`.
        """
        parts = self._shards.split(updates)
        ended = _side_by_side(
            {
                number: partial(self._producers[number].send_together, part)
                for number, part in parts.items()
            }
        )
        sent = messages_of(ended, parts)
        raise_together(ended, sent)
        return sent

    def flush(self) -> None:
        """Wait until the brokers have confirmed what was handed in so far.

        Raises:
            NotSentToShardsError: One has not, in time; see `Producer.flush`.
        """
        self._for_each(Producer.flush)

    def close(self) -> None:
        """Flush, and stop.

        Raises:
            NotSentToShardsError: See `flush`; nothing is tried any more.
        """
        self._for_each(Producer.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _for_each(self, wait: Callable[[Producer], None]) -> None:
        calls = {number: partial(wait, one) for number, one in enumerate(self._producers)}
        raise_together(_side_by_side(calls))


def _side_by_side(calls: Mapping[int, Callable[[], Any]]) -> dict[int, Any]:
    """Return what came of each: a broker that is away takes all the time that there is."""
    if len(calls) == 1:
        return {number: _outcome(call) for number, call in calls.items()}
    ended: dict[int, Any] = {}

    def run(number: int) -> None:
        ended[number] = _outcome(calls[number])

    # In the caller's context, for messages say which trace they belong to. And none of them
    # keeps alive a process whose caller has been interrupted.
    threads = [
        threading.Thread(target=copy_context().run, args=(run, number), daemon=True)
        for number in calls
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - raised in the caller's thread
        return error
