"""How endpoints stand, for who watches them: read from Redis, and nothing is changed by it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from webhooks.names import NAMES, kept_of, queue_of, state_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from service.channel import Channel


class Standing(NamedTuple):
    """How an endpoint stands.

    Attributes:
        name: As the file has it.
        waiting: Outcomes in its queue.
        kept: Outcomes set aside for it.
        oldest_seconds: For how long the oldest waits; None without any.
        fields: Of its state, as they lie in Redis.
    """

    name: str
    waiting: int
    kept: int
    oldest_seconds: float | None
    fields: dict[str, str]

    @property
    def state(self) -> str:
        """Return how it is, in a word."""
        if "disabled" in self.fields:
            return "disabled"
        return "failing" if int(self.fields.get("failures", 0)) else "delivering"


async def find_others(channel: Channel, known: Collection[str]) -> list[str]:
    """Return the names of endpoints that the file does not have any more.

    Raises:
        ChannelAwayError: Redis is away.
    """
    async with channel.asked() as client:
        names = await client.zrange(NAMES, 0, -1)
    return sorted({*names} - {*known})


async def look(channel: Channel, names: Iterable[str]) -> list[Standing]:
    """See how endpoints stand.

    Raises:
        ChannelAwayError: Redis is away.
    """
    names = list(names)
    async with channel.asked() as client, client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.xlen(queue_of(name))
            pipe.xlen(kept_of(name))
            pipe.xrange(queue_of(name), count=1)
            pipe.hgetall(state_of(name))
        replies = await pipe.execute()
    now = time.time()
    return [
        Standing(name, waiting, kept, _age(oldest, now), fields)
        for name, waiting, kept, oldest, fields in zip(
            names, replies[::4], replies[1::4], replies[2::4], replies[3::4], strict=True
        )
    ]


def _age(entries: list[tuple[str, object]], now: float) -> float | None:
    if not entries:
        return None
    return max(0.0, now - int(entries[0][0].partition("-")[0]) / 1_000)
