"""Room for outcomes in their stream, where named consumer groups are to read each of them.

What such a group has not read and acknowledged is never trimmed. With no room left there
is none until it has: whoever publishes waits, and settles nothing meanwhile.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from settle_client.names import OUTCOMES
from tasks.errors import NoRoomError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

# A step keeps the server from others for about a millisecond.
ENTRIES_PER_STEP = 1_000
MAKE_ROOM = Path(__file__).with_name("make_room.lua").read_text("utf-8")


class StreamRoom:
    """The room in the stream of outcomes."""

    def __init__(self, client: redis.Redis, groups: Sequence[str], max_length: int) -> None:
        """Make room through a client.

        Args:
            client: Of the Redis that holds the result channel.
            groups: Those that are to read everything.
            max_length: Entries that the stream holds at most.
        """
        self._groups, self._max_length = groups, max_length
        self._script: Any = client.register_script(MAKE_ROOM)

    def make(self, count: int) -> None:
        """See that so many outcomes can be added.

        Several publishers at once may add a little more than there is room for: all is kept.

        Raises:
            NoRoomError: A group needs what would have to go.
            redis.RedisError: The server is away.
        """
        going = 1
        while going:
            args = [self._max_length, count, ENTRIES_PER_STEP, *self._groups]
            going, free, needed_by = self._script(keys=[OUTCOMES], args=args)
            if free >= count:
                return
        raise NoRoomError(
            f"{OUTCOMES} is full of what the consumer group {_text(needed_by)!r} has not "
            "acknowledged: start its consumers, or take it out of SETTLE_OUTCOME_KEEP_FOR_GROUPS",
        )


def _text(name: bytes | str) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name
