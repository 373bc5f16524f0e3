"""One reader for all who listen, on a real Redis: what each of them gets, and what is kept."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

from gateway.outcomes import hub as listening
from gateway.outcomes.feed import Feed, TrimmedError
from gateway.outcomes.filters import Filter
from gateway.outcomes.hub import Gone, Heard, Hub, Signal
from gateway.outcomes.positions import BEGINNING, Position
from gateway.outcomes.stream import Stream
from service.channel import Channel
from settle_client.redis_server import open_reader
from tests.listening import outcome
from tests.oldest_redis import oldest_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gateway.outcomes.feed import Step

STREAM = "event-outcomes"
ALL = Filter(None)
OUTCOMES, LISTENERS = 2_000, 20


@pytest.fixture
def channel(redis_url: str) -> Iterator[redis.Redis]:
    """Give a way to write into an empty stream."""
    with closing(redis.Redis.from_url(redis_url, decode_responses=True)) as client:
        yield client


@asynccontextmanager
async def listened(redis_url: str) -> AsyncIterator[tuple[Feed, Hub]]:
    """Give what a gateway has."""
    channel = Channel(open_reader(redis_url, asynchronous=True))
    stream = Stream(channel)
    hub = Hub(stream)
    try:
        yield Feed(stream, hub), hub
    finally:
        await hub.close()
        await channel.close()


def write(channel: Any, *ids: str, account: str = "acct_1", **fields: Any) -> list[Position]:
    """Write outcomes, and return where they are."""
    with channel.pipeline(transaction=False) as pipe:
        for id_ in ids:
            pipe.xadd(STREAM, {"outcome": outcome(id_, account, **fields).to_json()})
        return [Position.parse(id_) for id_ in pipe.execute()]


def follow(feed: Feed, after: Position | None, wanted: Filter = ALL) -> Any:
    """Follow, with a sign of life every moment."""
    return feed.follow(wanted, after, quiet_seconds=lambda: 0.05)


async def until(steps: AsyncIterator[Step], count: int) -> list[Position]:
    """Return where the next outcomes are, so many."""
    found: list[Position] = []
    async for step in steps:
        assert isinstance(step, Heard), step
        found += [entry.position for entry in step.entries]
        if len(found) >= count:
            break
    return found


def test_nothing_is_missed_between_what_was_and_what_comes(
    channel: redis.Redis, redis_url: str
) -> None:
    """Outcomes are written throughout; many come and go, and each gets all from its position on."""
    written: list[Position] = write(channel, "ev_0")
    chance = random.Random(1)

    grown = asyncio.Event()

    async def write_on() -> None:
        while len(written) < OUTCOMES:
            ids = [f"ev_{len(written) + n}" for n in range(chance.choice((1, 1, 5, 40)))]
            written.extend(await asyncio.to_thread(write, channel, *ids))
            grown.set()
            await asyncio.sleep(chance.choice((0, 0, 0.002)))

    async def listen(feed: Feed, number: int) -> None:
        await asyncio.sleep(number * 0.02)
        reach = 0
        while reach < OUTCOMES:
            begin = chance.randrange(max(reach, 1))
            reach = min(len(written) + chance.randrange(300), OUTCOMES)
            async with asyncio.timeout(60), aclosing(follow(feed, written[begin])) as steps:
                found = await until(steps, reach - begin - 1)
            # Taken before they are known here, where they are written.
            while len(written) < begin + 1 + len(found):
                grown.clear()
                await grown.wait()
            assert found == written[begin + 1 : begin + 1 + len(found)]

    async def run() -> None:
        async with listened(redis_url) as (feed, _), asyncio.TaskGroup() as tasks:
            tasks.create_task(write_on())
            for number in range(LISTENERS):
                tasks.create_task(listen(feed, number))

    asyncio.run(run())


def test_who_listens_is_read_for_once(channel: redis.Redis, redis_url: str) -> None:
    """However many they are, one waits at the server; and nobody, when all have left."""

    async def run() -> None:
        async with listened(redis_url) as (feed, _):
            many = [follow(feed, None) for _ in range(100)]
            for steps in many:
                await anext(steps)
            while not (waiting := channel.info("clients")["blocked_clients"]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert waiting == 1
            (position,) = write(channel, "ev_1")
            for steps in many:
                assert await until(steps, 1) == [position]
                await steps.aclose()
            while channel.info("clients")["blocked_clients"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(run())


def test_each_gets_its_accounts_alone(channel: redis.Redis, redis_url: str) -> None:
    """What was there and what comes; an outcome without an account is for all accounts alone."""

    async def run() -> None:
        async with listened(redis_url) as (feed, _):
            wanted = Filter(frozenset({"acct_1", "acct_2"}))
            (first,) = write(channel, "ev_1")
            write(channel, "ev_2", account="acct_3")
            async with aclosing(follow(feed, BEGINNING, wanted)) as steps:
                assert await until(steps, 1) == [first]
                write(channel, "ev_3", account="acct_3")
                write(channel, "ev_4", account=None, reason="not_found")  # type: ignore[arg-type]
                (last,) = write(channel, "ev_5", account="acct_2")
                assert await until(steps, 1) == [last]

    asyncio.run(run())


def test_who_is_far_behind_is_cut(
    channel: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for it any more, others go on, and it may go on from where it was."""
    monkeypatch.setattr(listening, "MAX_BEHIND_BYTES", 20_000)

    async def run() -> None:
        async with listened(redis_url) as (feed, hub):
            slow, quick = follow(feed, None), follow(feed, None)
            begin = (await anext(slow)).position
            await anext(quick)
            positions: list[Position] = []
            # One by one: a listener may be behind by what is read at once.
            while hub.position == begin or len(positions) < 200:
                positions += write(channel, f"ev_{len(positions)}")
                assert await until(quick, 1) == positions[-1:]
            assert await anext(slow) is Signal.CUT
            assert [step async for step in slow] == []
            async with aclosing(follow(feed, begin)) as again:
                assert await until(again, 200) == positions

    asyncio.run(run())


def test_what_is_trimmed_before_it_is_read_is_said_in_its_place(
    channel: redis.Redis, redis_url: str
) -> None:
    """To who listens, with where it goes on; the outcomes before and behind it are given."""

    async def run() -> None:
        async with listened(redis_url) as (feed, _), aclosing(follow(feed, None)) as steps:
            await anext(steps)
            (before,) = write(channel, "ev_1")
            assert await until(steps, 1) == [before]
            with channel.pipeline(transaction=True) as pipe:
                for number in range(2, 10):
                    pipe.xadd(STREAM, {"outcome": outcome(f"ev_{number}").to_json()})
                pipe.xtrim(STREAM, maxlen=3, approximate=False)
                *ids, _ = pipe.execute()
            gone = await _next_but_quiet(steps)
            assert isinstance(gone, Gone)
            assert before < gone.position < Position.parse(ids[-3])
            assert await until(steps, 3) == [Position.parse(id_) for id_ in ids[-3:]]

    asyncio.run(run())


def test_a_stream_that_is_trimmed_behind_its_reader_has_no_gap(
    channel: redis.Redis, redis_url: str
) -> None:
    """Though its oldest entry is one that the reader has not read."""

    async def run() -> None:
        async with listened(redis_url) as (feed, _), aclosing(follow(feed, None)) as steps:
            await anext(steps)
            for number in range(5):
                (position,) = write(channel, f"ev_{number}")
                assert await until(steps, 1) == [position]
                channel.xtrim(STREAM, maxlen=0, approximate=False)

    asyncio.run(run())


def test_a_stream_that_is_made_anew_is_read_from_its_end(
    channel: redis.Redis, redis_url: str
) -> None:
    """That something may be missing is said; a position of the former one is refused."""

    async def run() -> None:
        async with listened(redis_url) as (feed, _):
            future = Position(9_999_999_999_999, 0)
            channel.xadd(STREAM, {"outcome": "{}"}, id=str(future))
            async with aclosing(follow(feed, None)) as steps:
                assert (await anext(steps)).position == future
                channel.delete(STREAM)
                gone = await _next_but_quiet(steps)
                assert isinstance(gone, Gone)
                assert gone.position == BEGINNING
                assert await until(steps, len(write(channel, "ev_1", "ev_2"))) != []
            with pytest.raises(TrimmedError) as raised:
                await anext(follow(feed, future))
            assert raised.value.begin is not None

    asyncio.run(run())


async def _next_but_quiet(steps: AsyncIterator[Step]) -> Step:
    """Return what comes next that is not just that nothing has come."""
    async with asyncio.timeout(60):
        async for step in steps:
            if not isinstance(step, Heard) or step.entries:
                return step
    raise AssertionError


def test_on_the_oldest_redis_nothing_is_missed_either() -> None:
    """Which counts nothing: what is trimmed is seen by the position alone."""

    async def run(url: str, channel: redis.Redis) -> None:
        async with listened(url) as (feed, _), aclosing(follow(feed, None)) as steps:
            begin = (await anext(steps)).position
            positions = write(channel, *(f"ev_{number}" for number in range(5)))
            assert await until(steps, 5) == positions
            channel.xtrim(STREAM, maxlen=2, approximate=False)
            positions += write(channel, "ev_5")
            assert await until(steps, 1) == positions[-1:]
            async with aclosing(follow(feed, positions[3])) as later:
                assert await until(later, 2) == positions[4:]
            with pytest.raises(TrimmedError):
                await anext(follow(feed, positions[1]))
            assert begin == BEGINNING

    with (
        oldest_redis() as server,
        closing(redis.Redis.from_url(server.url, decode_responses=True)) as channel,
    ):
        asyncio.run(run(server.url, channel))
