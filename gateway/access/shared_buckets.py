"""Buckets that all gateways share, in the Redis of the result channel: one script, one round trip.

A limiter is no reason not to serve. While Redis does not answer at once, each process goes by
buckets of its own, with the same rates, and asks again now and then; the log says so once.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from gateway import metrics
from gateway.access.buckets import Buckets, Taken
from service.trouble_log import TroubleLog
from settle_client.names import OUTCOMES
from settle_client.redis_server import clients_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.access.buckets import Claim

# Where the outcomes are: what is in braces says in which slot of a cluster, all in one.
KEY = f"event-limits:{{{{{OUTCOMES}}}}}:{{}}"
TAKE = Path(__file__).with_name("take_from_buckets.lua").read_text("utf-8")
# So many connections, each for a round trip at a time.
ASKING = 16
# Many times what a round trip takes; a request waits no longer for it.
ANSWER_SECONDS = 0.5
ASK_AGAIN_SECONDS = 2.0
NO_RIGHT = "give its user the rights of docs/privileges.md"


class SharedBuckets:
    """The buckets of all gateways, for one event loop."""

    def __init__(self, client: Any) -> None:
        """Connect nothing yet.

        Args:
            client: See `settle_client.redis_server.open_reader`.
        """
        self._client = client
        self._take = client.register_script(TAKE)
        self._turns = asyncio.Semaphore(ASKING)
        self._own = Buckets()
        self._ask_at = 0.0
        self._trouble = TroubleLog("limits are shared again")

    async def take(self, claims: Sequence[Claim]) -> Taken:
        """Take from all buckets, or from none if one is empty.

        Args:
            claims: At least one; no bucket twice.
        """
        now = time.monotonic()
        if now >= self._ask_at:
            was_away = self._ask_at > 0
            if was_away:
                # One finds out whether it is back; the others do not wait with it.
                self._ask_at = now + ASK_AGAIN_SECONDS
            if (taken := await self._ask(claims, was_away=was_away)) is not None:
                return taken
        metrics.LIMITED_ALONE.inc()
        return self._own.take(claims, time.monotonic())

    async def _ask(self, claims: Sequence[Claim], *, was_away: bool) -> Taken | None:
        try:
            # With the wait for a turn: where answers are slow, the last would wait for all.
            async with asyncio.timeout(ANSWER_SECONDS), self._turns:
                if self._ask_at and not was_away:
                    return None
                taken = await self._run(claims)
        except (redis.RedisError, OSError, TimeoutError) as error:
            self._ask_at = time.monotonic() + ASK_AGAIN_SECONDS
            # Also in the words of a script that lacks it.
            fix = NO_RIGHT if "permission" in str(error) else ""
            self._trouble.note("limits are not shared", f"{type(error).__name__}: {error}", fix)
            return None
        self._ask_at = 0.0
        self._trouble.is_over()
        return taken

    async def _run(self, claims: Sequence[Claim]) -> Taken:
        numbers = [number for claim in claims for number in (claim.per_second, claim.amount)]
        keys = [KEY.format(claim.bucket) for claim in claims]
        is_taken, *seconds = await self._take(keys, numbers)
        return Taken(is_taken == "1", [float(text) for text in seconds])

    async def close(self) -> None:
        """Close the connections."""
        for client in clients_of(self._client):
            await client.aclose()
