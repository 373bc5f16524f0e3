"""What workers of the release before hold, who kept it where stock workers keep theirs.

While a deployment goes round they are there side by side, and one of them may be
killed. Others use those keys too: a stock worker keeps in them what it has fetched, for
as long as its tasks take. So only what is ours is looked for, and it comes back
uncounted, for nobody said what was worked on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from redis.exceptions import ResponseError

from worker.transport.redis.items import entry_tail
from worker.transport.redis.scripts import FORMER

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = get_logger(__name__)

KEYS = ("unacked", "unacked_index")
# How many entries, of whomever, one sweep looks at.
MOST = 500
FROM_THE_BEGINNING = b"-inf"


class Former:
    """Goes through what others hold, step by step and round and round."""

    def __init__(self, channel: Any) -> None:
        """Look in the database of a channel."""
        self._channel = channel
        self._after = FROM_THE_BEGINNING
        self._may_look = True

    def ended(self, lease_seconds: float, queues: Iterable[str]) -> list[Any]:
        """Return those of our entries that nobody holds any more, as a script does.

        Args:
            lease_seconds: How long a worker may be silent.
            queues: Which are ours.
        """
        if not self._may_look:
            return []
        args = [lease_seconds, self._after, MOST, *map(entry_tail, queues)]
        try:
            self._after, *found = self._channel.run(FORMER, list(KEYS), args)
        except ResponseError as error:
            # They are not kombu's, or this user has no business there.
            self._may_look = False
            logger.debug("no look at the former keys", extra={"error": str(error)})
            return []
        return found
