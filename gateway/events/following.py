"""Whether the replica is good to read lists from, looked at every second.

So no list waits for a replica that is away. What each list is read from is checked once more, in
the session that reads it (`db.replicas`).
"""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from db import DatabaseError
from gateway import metrics
from gateway.requests.retrying import insist
from service.trouble_log import TroubleLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from db.replicas import Replica

Result = TypeVar("Result")

LOOK_SECONDS = 1.0
# A server that does not answer a question that takes no time is away.
ANSWER_SECONDS = 3.0
FIX = "see the replica with settle doctor, or correct SETTLE_READ_DATABASE_URL"


class Follower:
    """Follows how a replica is, for one process."""

    def __init__(self, replica: Replica) -> None:
        """Believe nothing of it before it was looked at."""
        self._replica = replica
        self.is_good = False
        metrics.REPLICA_LAG_SECONDS.set(math.nan)
        self._trouble = TroubleLog("lists are read from the replica again")
        # Either server may hang, whatever the other does.
        self._asking_primary = ThreadPoolExecutor(1, thread_name_prefix="primary")
        self._asking_replica = ThreadPoolExecutor(1, thread_name_prefix="replica")

    async def follow(self) -> None:
        """Look at it for ever."""
        await self._note_primary()
        while True:
            # What the primary had written before is to be replayed by then.
            await asyncio.sleep(LOOK_SECONDS)
            await self._note_primary()
            await self._look()

    def close(self) -> None:
        """Ask nothing more, and wait for what was asked."""
        self._asking_primary.shutdown(cancel_futures=True)
        self._asking_replica.shutdown(cancel_futures=True)

    async def _note_primary(self) -> None:
        # How old the replica is counts on, then.
        with suppress(DatabaseError, TimeoutError):
            await _ask(self._asking_primary, self._replica.note_primary)

    async def _look(self) -> None:
        try:
            seconds = await _ask(self._asking_replica, self._replica.look)
        except (DatabaseError, TimeoutError) as error:
            self.is_good = False
            metrics.REPLICA_LAG_SECONDS.set(math.nan)
            why = str(error) or f"no answer within {ANSWER_SECONDS:g} s"
            self._trouble.note("lists are read from the primary", why, FIX)
        else:
            self.is_good = True
            metrics.REPLICA_LAG_SECONDS.set(seconds)
            self._trouble.is_over()


async def _ask(threads: ThreadPoolExecutor, question: Callable[[], Result]) -> Result:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(ANSWER_SECONDS):
        return await loop.run_in_executor(threads, insist, question)
