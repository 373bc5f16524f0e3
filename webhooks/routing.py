"""From the stream of outcomes into the queues of endpoints, by one process at a time.

That keeps the order: what is read first is queued first. Reading, queueing and acknowledging
rely on a lease in Redis and do nothing without it, so a process that was held up cannot come
in between. What one that died had read and not queued is read again, first, by the next. What is
acknowledged is in the queues: the stream may be trimmed then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import redis

from service.channel import ChannelAwayError
from service.entries import PageSize, read_head
from settle_client.following import LOOK
from settle_client.names import OUTCOMES
from settle_client.reading import entries_of
from settle_client.standing import find_group, standing_of
from webhooks import metrics
from webhooks.gaps import say_gone
from webhooks.names import DUE, GROUP, MEMBER, NAMES, RETRIES, ROUTER, kept_of, queue_of, state_of
from webhooks.scripts import ROUTE, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from service.channel import Channel
    from webhooks.endpoints import Endpoints
    from webhooks.stopping import Stop

LEASE_SECONDS = 10.0
# Of those that do not route.
LOOK_AGAIN_SECONDS = 1.0
BLOCK_SECONDS = 1.0
ENTRIES_PER_READ, BYTES_PER_READ = 500, 2**20
# A step keeps the server from others for a few milliseconds.
OUTCOMES_PER_STEP, BYTES_PER_STEP = 1_000, 2**20
PAUSE_SECONDS = 0.5


class LeaseLostError(Exception):
    """Another process routes."""


class Step(NamedTuple):
    """Entries that are queued and acknowledged together."""

    ids: list[str]
    outcomes: list[tuple[str, str, str, str]]


class Router:
    """Routes while it has the lease, and waits for it otherwise."""

    def __init__(
        self,
        channel: Channel,
        endpoints: Endpoints,
        lease: str,
        most: int,
        wake: Callable[[], None],
        stop: Stop,
    ) -> None:
        """Route nothing yet.

        Args:
            channel: The Redis of the stream.
            endpoints: Who gets what.
            lease: What this process is known by, as no other is.
            most: How many outcomes may wait for an endpoint.
            wake: Is called when something was queued.
            stop: Says when to stop.
        """
        self._channel, self._endpoints, self._lease, self._most = channel, endpoints, lease, most
        self._wake, self._stop = wake, stop
        self._size = PageSize(ENTRIES_PER_READ, BYTES_PER_READ)
        # What a former one has left comes first.
        self._since, self._last_read, self._begin = "0", "0-0", "$"

    async def run(self) -> None:
        """Route, until asked to stop."""
        try:
            while not self._stop.is_asked:
                try:
                    await self._route_while_ours()
                except ChannelAwayError:
                    await self._stop.pause(PAUSE_SECONDS)
                except LeaseLostError:
                    await self._stop.pause(LOOK_AGAIN_SECONDS)
        finally:
            await self._leave()

    async def _route_while_ours(self) -> None:
        await self._make_group()
        async with self._channel.asked() as client:
            milliseconds = int(LEASE_SECONDS * 1_000)
            if not await client.set(ROUTER, self._lease, nx=True, px=milliseconds):
                owner = await client.get(ROUTER)
                if owner != self._lease:
                    raise LeaseLostError
        self._since = "0"
        while not self._stop.is_asked:
            entries = await self._read()
            if entries:
                await self._queue(entries)
                self._size.learn(len(fields.get("outcome", "")) for _, fields in entries if fields)
            elif self._since == "0":
                self._since = ">"
            else:
                await self._wait()

    async def _make_group(self) -> None:
        async with self._channel.asked() as client:
            try:
                await client.xgroup_create(OUTCOMES, GROUP, self._begin, mkstream=True)
            except redis.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
        # Should it be gone later, nobody knows what was in it.
        self._begin = "0"

    async def _read(self) -> list[Any]:
        """Read some entries, if the lease is ours at that moment, and see what was trimmed."""
        async with self._channel.asked() as client, client.pipeline(transaction=True) as pipe:
            await pipe.watch(ROUTER)
            if await pipe.get(ROUTER) != self._lease:
                raise LeaseLostError
            pipe.multi()
            pipe.pexpire(ROUTER, int(LEASE_SECONDS * 1_000))
            for command in LOOK:
                pipe.execute_command(*command)
            pipe.execute_command(
                *("XREADGROUP", "GROUP", GROUP, MEMBER, "COUNT", self._size.entries),
                *("STREAMS", OUTCOMES, self._since),
            )
            try:
                _, stream, groups, reply = await pipe.execute(raise_on_error=False)
            except redis.WatchError as error:
                raise LeaseLostError from error
            for each in (reply, stream, groups):
                if isinstance(each, Exception):
                    await self._repair(each)
        entries = entries_of(reply)
        group = find_group(groups, GROUP)
        say_gone(sum(not fields for _, fields in entries))
        if self._since == ">" and group:
            self._last_read = entries[-1][0] if entries else group["last-delivered-id"]
            if entries:
                say_gone(standing_of(stream, group).gone)
        return entries

    async def _repair(self, error: Exception) -> None:
        """Begin anew where somebody has removed the group, or the stream."""
        if "NOGROUP" in str(error) or "no such key" in str(error):
            await self._make_group()
            raise LeaseLostError from error
        raise error

    async def _queue(self, entries: Sequence[Any]) -> None:
        for step in _steps(entries, self._endpoints):
            names = sorted({name for name, *_ in step.outcomes})
            number = {name: str(place) for place, name in enumerate(names, 1)}
            keys = [OUTCOMES, ROUTER, DUE, RETRIES, NAMES]
            for name in names:
                keys += [queue_of(name), state_of(name), kept_of(name)]
            args = [
                *(self._lease, int(LEASE_SECONDS * 1_000), GROUP, self._most, len(names), *names),
                *(len(step.ids), *step.ids),
                *(part for name, *rest in step.outcomes for part in (number[name], *rest)),
            ]
            async with self._channel.asked() as client:
                set_aside = await run(client, ROUTE, keys, args)
            if set_aside < 0:
                raise LeaseLostError
            metrics.SET_ASIDE.labels("overflow").inc(set_aside)
            metrics.ROUTED.inc(len(step.outcomes))
            if step.outcomes:
                self._wake()

    async def _wait(self) -> None:
        """Wait for something new, for a moment."""
        block = int(BLOCK_SECONDS * 1_000)
        async with self._channel.asked() as client:
            await client.execute_command(
                *("XREAD", "COUNT", 1, "BLOCK", block, "STREAMS", OUTCOMES, self._last_read)
            )

    async def _leave(self) -> None:
        """Let another route at once, if it was us."""
        try:
            async with self._channel.asked() as client, client.pipeline(transaction=True) as pipe:
                await pipe.watch(ROUTER)
                if await pipe.get(ROUTER) == self._lease:
                    pipe.multi()
                    pipe.delete(ROUTER)
                    await pipe.execute()
        except ChannelAwayError:
            # It ends by itself.
            return


def _steps(entries: Sequence[Any], endpoints: Endpoints) -> Iterator[Step]:
    """Yield entries in order, not too many outcomes at once."""
    step, room = Step([], []), BYTES_PER_STEP
    for id_, fields in entries:
        outcomes = list(_outcomes(id_, fields, endpoints)) if fields else []
        size = sum(len(text) for *_, text in outcomes)
        is_full = len(step.outcomes) + len(outcomes) > OUTCOMES_PER_STEP or size > room
        if is_full and step.ids:
            yield step
            step, room = Step([], []), BYTES_PER_STEP
        step.ids.append(id_)
        step.outcomes.extend(outcomes)
        room -= size
    if step.ids:
        yield step


def _outcomes(id_: str, fields: Any, endpoints: Endpoints) -> Iterator[tuple[str, str, str, str]]:
    head, text = read_head(fields)
    for endpoint in endpoints.of_account(head.account_id):
        yield endpoint.name, head.id or "", id_, text
