"""What waits for each endpoint, in Redis: taken by one process at a time, and kept until delivered.

A process that takes an endpoint has a lease of it. When it dies the lease ends, and the next
takes the same batch; a process that comes too late records nothing.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from service.entries import read_head
from webhooks.names import DUE, RETRIES, kept_of, queue_of, state_of
from webhooks.scripts import CLAIM, FINISH, TAKE, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from service.channel import Channel
    from webhooks.endpoints import Endpoint
    from webhooks.judging import Consequence

# Of one request, unless it is a single outcome.
BATCH_MAX_BYTES = 256 * 2**10
REQUESTS_PER_TRY = 3
# Of a lease, besides the requests that one try may make.
MARGIN_SECONDS = 5.0
# How far behind an outcome that is refused another event's is looked for.
LOOKED_AT, LOOKED_AT_ONCE = 200, 10
# When an endpoint that the file does not have is looked at again: it may not be everywhere yet.
UNKNOWN_SECONDS = 60.0


class Waiting(NamedTuple):
    """An outcome that waits for an endpoint.

    Attributes:
        id: In the endpoint's queue.
        event: Whose outcomes keep their order.
        entry: Of the stream of outcomes.
        text: The outcome, as JSON.
    """

    id: str
    event: str
    entry: str
    text: str

    @property
    def account_id(self) -> str | None:
        """Return whose it is, None if nobody's."""
        return read_head({"outcome": self.text})[0].account_id


class Batch(NamedTuple):
    """What is to be sent to an endpoint next, and how the endpoint stands."""

    state: dict[str, str]
    outcomes: list[Waiting]


class Queues:
    """The queues, for one process."""

    def __init__(self, channel: Channel, lease: str, *, request_seconds: float, most: int) -> None:
        """Take nothing yet.

        Args:
            channel: The Redis.
            lease: What this process is known by, as no other is.
            request_seconds: What a request takes at most.
            most: How many outcomes are kept aside for an endpoint.
        """
        self._channel, self._lease, self._most = channel, lease, most
        self._lease_seconds = REQUESTS_PER_TRY * request_seconds + 2 * MARGIN_SECONDS

    async def claim(self, count: int, failing: int) -> tuple[list[str], list[str]]:
        """Take endpoints that are due; return their names.

        Args:
            count: At most, of those that take what they are sent.
            failing: At most, of those that failed last, which are the others in the answer.

        Raises:
            ChannelAwayError: Redis is away.
        """
        args = (self._lease, int(self._lease_seconds * 1_000), state_of(""), count, failing)
        async with self._channel.asked() as client:
            taken, others = await run(client, CLAIM, (DUE, RETRIES), args)
            return taken, others

    def is_late(self, began: float) -> bool:
        """Return whether too little is left of a lease for the requests of a try.

        Args:
            began: When it was asked for, in seconds of the monotonic clock.
        """
        return time.monotonic() - began > MARGIN_SECONDS

    def is_over(self, began: float) -> bool:
        """Return whether nothing is left of it."""
        return time.monotonic() - began > self._lease_seconds

    async def take(self, endpoint: Endpoint) -> Batch | None:
        """Read what is next for an endpoint; None if it is another's by now.

        Raises:
            ChannelAwayError: Redis is away.
        """
        keys = (queue_of(endpoint.name), state_of(endpoint.name))
        args = (self._lease, endpoint.max_outcomes, BATCH_MAX_BYTES)
        async with self._channel.asked() as client:
            reply = await run(client, TAKE, keys, args)
        if reply is None:
            return None
        fields, entries = reply
        return Batch(_pairs(fields), [_waiting(id_, _pairs(flat)) for id_, flat in entries])

    async def find_other(self, endpoint: Endpoint, outcome: Waiting) -> Waiting | None:
        """Find an outcome behind one, the first there is of another event.

        Any of these, each time another: the next may be one that is refused as well.

        Raises:
            ChannelAwayError: Redis is away.
        """
        found, count, events, room = None, 0, {outcome.event}, BATCH_MAX_BYTES
        async for each in self._behind(endpoint, outcome):
            room -= len(each.text)
            if each.event not in events and endpoint.takes(each.account_id):
                count += 1
                found = each if random.randrange(count) == 0 else found
            events.add(each.event)
            if found is not None and room < 0:
                break
        return found

    async def _behind(self, endpoint: Endpoint, outcome: Waiting) -> AsyncIterator[Waiting]:
        queue, since = queue_of(endpoint.name), outcome.id
        for _ in range(LOOKED_AT // LOOKED_AT_ONCE):
            async with self._channel.asked() as client:
                entries = await client.xrange(queue, f"({since}", count=LOOKED_AT_ONCE)
            for id_, fields in entries:
                yield _waiting(id_, fields)
            if not entries:
                return
            since = entries[-1][0]

    async def finish(
        self,
        name: str,
        consequence: Consequence,
        *,
        delivered: Sequence[Waiting] = (),
        aside: Sequence[Waiting] = (),
    ) -> bool:
        """Record what became of a try; return whether the endpoint was still our own.

        Raises:
            ChannelAwayError: Redis is away.
        """
        wait = consequence.wait_seconds
        keys = (queue_of(name), state_of(name), kept_of(name), DUE, RETRIES)
        changes: list[Any] = [part for pair in consequence.changes.items() for part in pair]
        args = (
            *(self._lease, name, -1 if wait is None else int(wait * 1_000), self._most),
            *(len(delivered), *(outcome.id for outcome in delivered)),
            *(len(aside), *(outcome.id for outcome in aside)),
            *(len(consequence.changes), *changes),
            *consequence.forgotten,
        )
        async with self._channel.asked() as client:
            return bool(await run(client, FINISH, keys, args))


def _waiting(id_: str, fields: Mapping[str, str]) -> Waiting:
    return Waiting(id_, fields["event"], fields["entry"], fields["outcome"])


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
