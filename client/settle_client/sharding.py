"""Which shard an update belongs to, where a service is several: brokers, or databases too.

All updates of one event go to one shard: what is kept of their order in one queue is kept,
and each shard's database has the whole of its events. Pure; `settle_client.sharded_producer` sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from settle_client.checking import check, check_all
from settle_client.errors import AddressError, InvalidUpdateError, NotSentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
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
        self, updates: Sequence[StatusUpdate | Mapping[str, Any]]
    ) -> dict[int, list[StatusUpdate]]:
        """Return the updates of each shard that has any, in order.

        Raises:
            InvalidUpdateError: One is not valid, or there is none.
            IndexError: There is no shard of a number that was chosen.
        """
        if not updates:
            raise InvalidUpdateError("a message carries at least one update")
        parts: dict[int, list[StatusUpdate]] = {}
        for update in check_all(updates):
            parts.setdefault(self._number(update), []).append(update)
        return parts

    def _number(self, update: StatusUpdate) -> int:
        if self._choose is None:
            return crc32(update.id.encode()) % self._count
        number = self._choose(update)
        if not 0 <= number < self._count:
            raise IndexError(f"shard {number} was chosen of {self._count}, which begin with 0")
        return number


def check_urls(broker_urls: Sequence[str]) -> list[str]:
    """Return the URLs of the shards' brokers.

    Raises:
        AddressError: They are none, or one that is no list, or one comes twice.
    """
    if isinstance(broker_urls, str) or not broker_urls:
        raise AddressError("broker_urls must be a list of at least one URL")
    if len(set(broker_urls)) < len(broker_urls):
        raise AddressError("broker_urls names one broker twice: shards have a broker each")
    return list(broker_urls)


def raise_together(errors: Iterable[BaseException], timeout_seconds: float) -> None:
    """Raise one error for what several shards have not sent, if there is any.

    Raises:
        NotSentError: With the ids of all.
        BaseException: The first of another kind.
    """
    found = list(errors)
    for error in found:
        if not isinstance(error, NotSentError):
            raise error
    ids = [id_ for error in found if isinstance(error, NotSentError) for id_ in error.message_ids]
    if ids:
        first = found[0].__cause__
        cause = first if isinstance(first, Exception) else None
        raise NotSentError(ids, timeout_seconds, cause) from cause
