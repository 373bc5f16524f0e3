"""Writing above a Redis's memory limit, where that is the way back below it.

A Redis that is full of messages is emptied by settling them, and for that outcomes
must be written. Of a message with one update 1,050 bytes lie in the queue, and 280
more while it is held; its outcome takes 320: what is written is less than what then
goes. A message with 1,000 updates takes 60 bytes for each, so that its outcomes take
five times as much, until the stream is as long as it may be and what is added pushes
out as much. So there is a bound, above which outcomes wait after all: others on the machine
need memory too.

Redis refuses a script what may need memory, unless the script has written before. That
is the same in Redis 6.2, 7 and Valkey; the flag `allow-oom` is not for Redis 6.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

if TYPE_CHECKING:
    from collections.abc import Sequence

# How far above the limit outcomes are written: a part of it, but as much as any limit
# leaves to what some workers hold, and to the buffers of their connections.
MARGIN_SHARE = 0.1
MARGIN_BYTES = 16 * 2**20
WITHIN_LIMIT, ABOVE_LIMIT = "", "1"


def write(client: redis.Redis, script: Any, key: str, args: Sequence[Any]) -> None:
    """Run a script that writes, above the memory limit if need be.

    Args:
        client: For the server of the script.
        script: Its first argument says whether it may exceed the limit.
        key: What it writes to.
        args: Its other arguments.

    Raises:
        redis.RedisError: It was refused, or the server is away.
    """
    try:
        script(keys=[key], args=[WITHIN_LIMIT, *args])
    except redis.ResponseError as error:
        if not (_is_at_limit(error) and _has_margin(client)):
            raise
        try:
            script(keys=[key], args=[ABOVE_LIMIT, *args])
        except redis.ResponseError:
            # A user that may not trim, such as the gateway's, which empties no queue.
            raise error from None


def _is_at_limit(error: redis.ResponseError) -> bool:
    # Redis 6.2 quotes it in an error of the script.
    return isinstance(error, redis.OutOfMemoryError) or "-OOM " in str(error)


def _has_margin(client: Any) -> bool:
    try:
        memory = client.info("memory")
    except redis.ResponseError:
        return False
    return bool(memory["used_memory"] < most_in_use(memory["maxmemory"]))


def most_in_use(limit: int) -> float:
    """Return how many bytes may be in use before outcomes are held back.

    Args:
        limit: `maxmemory`, in bytes.
    """
    return limit + max(limit * MARGIN_SHARE, MARGIN_BYTES)
