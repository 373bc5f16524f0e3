"""Which shard an update belongs to, where a service is several: brokers, or databases too.

All updates of one event go to one shard: what is kept of their order in one queue is kept,
and each shard's database has the whole of its events. Pure; `settle_client.sharded_producer` sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING
from zlib import crc32

from settle_client.checking import check, check_all
from settle_client.errors import (
    AddressError,
    InvalidUpdateError,
    NotSentError,
    NotSentToShardsError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from settle_client.update import StatusUpdate


class Shards:
    """How many there are, and how one is chosen."""

    def __init__(self, count: int, choose: Callable[[StatusUpdate], int] | None = None) -> None:
        self._count, self._choose = count, choose

    def of(self, update: StatusUpdate | Mapping[str, Any]) -> int:
        """Return the number of an update's shard, from 0.

        Without a choice of the caller's it is the CRC-32 of the id in UTF-8 modulo the
        count, as zlib and every other language have it.

        Raises:
            InvalidUpdateError: It is not valid.
            IndexError: There is no shard of the number that was chosen.
        """
        return self._number(check(update))

    def split(
        self, updates: Iterable[StatusUpdate | Mapping[str, Any]]
    ) -> dict[int, list[StatusUpdate]]:
        """Return the updates of each shard that has any, in order.

        Raises:
            InvalidUpdateError: One is not valid, or there is none.
            IndexError: There is no shard of a number that was chosen.
        """
        checked = check_all(updates)
        if not checked:
            raise InvalidUpdateError("a message carries at least one update")
        parts: dict[int, list[StatusUpdate]] = {}
        for update in checked:
            parts.setdefault(self._number(update), []).append(update)
        return parts

    def _number(self, update: StatusUpdate) -> int:
        if self._choose is None:
            return crc32(update.id.encode()) % self._count
        # What is no number fails here, before any part of a message is sent.
        number = index(self._choose(update))
        if not 0 <= number < self._count:
            raise IndexError(f"shard {number} was chosen of {self._count}, which begin with 0")
        return number


def check_urls(broker_urls: Sequence[str]) -> list[str]:
    """Return the URLs of the shards' brokers.

    Raises:
        AddressError: They are none, or without an order, or one comes twice.
    """
    # A set has another order in each process, and an event another shard.
    if isinstance(broker_urls, str) or not isinstance(broker_urls, Sequence) or not broker_urls:
        raise AddressError("broker_urls must be a list of at least one URL")
    if len(set(broker_urls)) < len(broker_urls):
        raise AddressError("broker_urls names one broker twice: shards have a broker each")
    return list(broker_urls)


def raise_together(
    ended: Mapping[int, object], sent: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Raise one error for what several shards have not sent, if there is any.

    Args:
        ended: What came of each shard, by its number: an error, or anything else.
        sent: The events' ids by the message's id, of those that have.

    Raises:
        NotSentToShardsError: Of all shards that have not.
        BaseException: The first of another kind.
    """
    not_sent: dict[int, NotSentError] = {}
    for number, result in sorted(ended.items()):
        if isinstance(result, NotSentError):
            not_sent[number] = result
        elif isinstance(result, BaseException):
            raise result
    if not_sent:
        raise NotSentToShardsError(not_sent, sent or {})


def messages_of(
    ended: Mapping[int, object], parts: Mapping[int, Sequence[StatusUpdate]]
) -> dict[str, list[str]]:
    """Return the events' ids by the message's id, of the shards that have taken theirs."""
    return {
        result: [update.id for update in parts[number]]
        for number, result in ended.items()
        if isinstance(result, str)
    }
