"""What a person does about an endpoint: lets it be tried again, or what was set aside be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhooks.names import DUE, NAMES, RETRIES, kept_of, queue_of, state_of
from webhooks.scripts import ENABLE, REPLAY, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.channel import Channel

OUTCOMES_PER_STEP = 100


async def enable(channel: Channel, name: str) -> int:
    """Let an endpoint be tried at once, as if it had never failed; return how many wait for it.

    Raises:
        ChannelAwayError: Redis is away.
    """
    keys = (queue_of(name), state_of(name), DUE, RETRIES)
    async with channel.asked() as client:
        return int(await run(client, ENABLE, keys, [name]))


async def replay(channel: Channel, name: str) -> int:
    """Put what was set aside back into the queue, behind what waits; return how many.

    Raises:
        ChannelAwayError: Redis is away.
    """
    keys = (kept_of(name), queue_of(name), state_of(name), DUE, RETRIES)
    moved = step = 0
    async with channel.asked() as client:
        # No more than there are now: what is refused again meanwhile is left.
        most = await client.xlen(kept_of(name))
        while moved < most and (moved == 0 or step):
            count = min(OUTCOMES_PER_STEP, most - moved)
            step = int(await run(client, REPLAY, keys, [name, count]))
            moved += step
    return moved


async def drop(channel: Channel, name: str) -> int:
    """Forget what was set aside, for good; return how many.

    Raises:
        ChannelAwayError: Redis is away.
    """
    async with channel.asked() as client, client.pipeline(transaction=True) as pipe:
        pipe.xlen(kept_of(name))
        pipe.delete(kept_of(name))
        count, _ = await pipe.execute()
        return int(count)


async def forget(channel: Channel, name: str) -> int:
    """Forget all that is known of an endpoint, for good; return how many outcomes that is.

    Raises:
        ChannelAwayError: Redis is away.
    """
    keys = (queue_of(name), kept_of(name))
    async with channel.asked() as client, client.pipeline(transaction=True) as pipe:
        for key in keys:
            pipe.xlen(key)
        for key in (DUE, RETRIES, NAMES):
            pipe.zrem(key, name)
        pipe.delete(*keys, state_of(name))
        counts = await pipe.execute()
        return int(counts[0] + counts[1])


async def kept(channel: Channel, name: str) -> AsyncIterator[dict[str, str]]:
    """Yield what was set aside, oldest first: why, and the outcome as JSON.

    Raises:
        ChannelAwayError: Redis is away.
    """
    since = "-"
    async with channel.asked() as client:
        while entries := await client.xrange(kept_of(name), since, count=OUTCOMES_PER_STEP):
            for _, fields in entries:
                yield fields
            since = f"({entries[-1][0]}"
