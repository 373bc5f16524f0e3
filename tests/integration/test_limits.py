"""Limits that gateways share, on a real Redis, and what holds while that is away."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.access import shared_buckets
from gateway.access.buckets import A_UNIT, Claim, left_in
from gateway.access.shared_buckets import KEY, SharedBuckets
from settle_client.redis_server import open_reader
from tests.oldest_redis import oldest_redis
from tests.redis_cluster import redis_cluster
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# So slow that nothing flows in while a test lasts.
SLOW = [Claim("slow", 1, 1_000)]
NOBODY_LISTENS = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for as long as a busy machine needs."""
    monkeypatch.setattr(shared_buckets, "ANSWER_SECONDS", 30)


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """Give an empty Redis."""
    with closing(redis.Redis.from_url(redis_url, decode_responses=True)) as client:
        yield client


@asynccontextmanager
async def gateways(url: str, count: int = 2) -> AsyncIterator[list[SharedBuckets]]:
    """Give what each of some gateways has."""
    several = [SharedBuckets(open_reader(url, asynchronous=True)) for _ in range(count)]
    try:
        yield several
    finally:
        for one in several:
            await one.close()


@pytest.mark.usefixtures("client")
def test_gateways_share_a_limit(redis_url: str) -> None:
    """What one has taken, the other has not."""

    async def scenario() -> None:
        claims = [Claim("key", 5, 1), Claim("account", 1_000, 10)]
        async with gateways(redis_url) as (one, other):
            taken = [await each.take(claims) for each in (one, other) * 4]
        # A fifth of a second is another unit, and a test may take that.
        assert [each.is_taken for each in taken[:5]] == [True] * 5
        assert left_in(claims[0], taken[1].missing_seconds[0]) in (3, 4)

    asyncio.run(scenario())


@pytest.mark.usefixtures("client")
def test_no_more_is_taken_at_once_than_there_is(redis_url: str) -> None:
    """However many ask at the same moment, at whichever gateway."""

    async def scenario() -> None:
        async with gateways(redis_url) as several:
            asked = [gateway.take([Claim("a", 10, 100)]) for gateway in several * 20]
            taken = await asyncio.gather(*asked)
        assert sum(one.is_taken for one in taken) == 1

    asyncio.run(scenario())


def test_nothing_is_taken_where_one_bucket_is_empty(client: Any, redis_url: str) -> None:
    """And nothing is written."""

    async def scenario() -> None:
        async with gateways(redis_url, 1) as (gateway,):
            assert (await gateway.take([Claim("empty", 1, 1_000)])).is_taken
            refused = await gateway.take([Claim("full", 5, 1), Claim("empty", 1, 1)])
            assert not refused.is_taken
            assert refused.missing_seconds[0] == 0
            assert refused.missing_seconds[1] > 900

    asyncio.run(scenario())
    assert client.keys() == [KEY.format("empty")]


def test_a_bucket_that_is_full_is_not_kept(client: Any, redis_url: str) -> None:
    """What lies in Redis goes by itself, when it says nothing any more."""

    async def scenario() -> None:
        async with gateways(redis_url, 1) as (gateway,):
            await gateway.take([Claim("a", 100, 1_000)])

    asyncio.run(scenario())
    assert 9_000 < client.pttl(KEY.format("a")) <= 10_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.integers(1, 1_000_000),
    st.lists(st.integers(1, 3_000), min_size=1, max_size=5),
    st.floats(0, 3),
)
def test_the_script_reckons_as_the_process_does(
    client: Any, rate: int, amounts: list[int], missing: float
) -> None:
    """From the same bucket both take, or both do not."""
    client.flushdb()
    seconds, micros = client.time()
    client.set("a", f"{seconds + micros / 1e6 + missing:.6f}")
    for amount in amounts:
        is_taken, after = client.eval(shared_buckets.TAKE, 1, "a", rate, amount)
        # Between the question and the answer of the clock a moment has passed.
        passed = 0.05
        if missing * rate <= rate - A_UNIT:
            assert is_taken == "1"
        elif (missing - passed) * rate > rate - A_UNIT:
            assert is_taken == "0"
        expected = missing + (amount / rate if is_taken == "1" else 0)
        assert max(expected - 1, 0) <= float(after) <= expected + 1e-5
        missing = float(after)


def test_without_redis_each_goes_by_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is kept waiting, the rates hold in each process, and the log says so once."""

    async def scenario() -> None:
        async with gateways(NOBODY_LISTENS) as several:
            for gateway in several:
                taken = [(await gateway.take([Claim("a", 1, 100)])).is_taken for _ in range(3)]
                assert taken == [True, False, False]

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    lines = [record.message for record in caplog.records]
    assert lines == ["limits are not shared"] * 2


@pytest.mark.parametrize(
    "rights", [["+ping"], ["+evalsha", "+script|load", "+time"]], ids=["none", "not all"]
)
def test_when_redis_is_back_limits_are_shared_again(
    rights: list[str],
    redis_url: str,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A right that is missing is as if it were away; it says what to do."""
    monkeypatch.setattr(shared_buckets, "ASK_AGAIN_SECONDS", 0)
    client.execute_command("ACL", "SETUSER", "lim", "on", ">secret", "~*", *rights)
    url = redis_url.replace("redis://", "redis://lim:secret@")

    async def scenario() -> None:
        async with gateways(url, 1) as (gateway,), gateways(redis_url, 1) as (other,):
            assert (await other.take([Claim("a", 1, 100)])).is_taken
            assert (await gateway.take([Claim("a", 1, 1)])).is_taken
            client.execute_command("ACL", "SETUSER", "lim", "+@all")
            assert not (await gateway.take([Claim("a", 1, 1)])).is_taken

    try:
        with caplog.at_level(logging.INFO):
            asyncio.run(scenario())
    finally:
        client.execute_command("ACL", "DELUSER", "lim")
    ours = [record for record in caplog.records if record.name == "service.trouble_log"]
    assert [record.message for record in ours] == [
        "limits are not shared",
        "limits are shared again",
    ]
    assert "docs/privileges.md" in vars(ours[0])["fix"]


def test_a_redis_that_hangs_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again later, and not by every request."""
    monkeypatch.setattr(shared_buckets, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(shared_buckets, "ASK_AGAIN_SECONDS", 3_600)

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with gateways(f"redis://127.0.0.1:{port}", 1) as (gateway,):
                taken = await asyncio.gather(*(gateway.take(SLOW) for _ in range(50)))
                assert sum(one.is_taken for one in taken) == 1

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_while_one_asks_whether_redis_is_back_nobody_waits_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others go by their own buckets, though it is time to ask again."""
    monkeypatch.setattr(shared_buckets, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(shared_buckets, "ASK_AGAIN_SECONDS", 0)
    script = Script(seconds=3_600)

    async def scenario() -> None:
        gateway = SharedBuckets(script)
        await gateway.take(SLOW)
        monkeypatch.setattr(shared_buckets, "ANSWER_SECONDS", 3_600)
        monkeypatch.setattr(shared_buckets, "ASK_AGAIN_SECONDS", 3_600)
        asking = asyncio.create_task(gateway.take(SLOW))
        await asyncio.sleep(0)
        await asyncio.wait_for(gateway.take(SLOW), 30)
        assert not asking.done()
        asking.cancel()

    asyncio.run(scenario())
    assert script.asked == 2


def test_nobody_waits_for_all_who_ask_a_slow_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for a turn counts too: who has none in time goes by its own."""
    monkeypatch.setattr(shared_buckets, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(shared_buckets, "ASKING", 1)
    script = Script(seconds=0.05)

    async def scenario() -> None:
        gateway = SharedBuckets(script)
        await asyncio.gather(*(gateway.take(SLOW) for _ in range(50)))

    asyncio.run(scenario())
    assert 1 <= script.asked < 10


class Script:
    """A client whose script takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.asked = seconds, 0

    def register_script(self, _: str) -> Any:
        """Give what runs it."""
        return self.run

    async def run(self, keys: list[str], _: list[int]) -> list[str]:
        """Run it."""
        self.asked += 1
        await asyncio.sleep(self.seconds)
        return ["1", *("0" for _ in keys)]


def test_a_request_may_need_more_buckets_than_lua_hands_on_at_once(
    client: Any, redis_url: str
) -> None:
    """A key may be for any number of accounts; one that is for many is limited as all are."""
    many = [Claim(f"acct_{number}", 1, 1_000) for number in range(10_000)]

    async def scenario() -> None:
        async with gateways(redis_url) as (one, other):
            assert (await one.take(many)).is_taken
            assert not (await other.take(many[-1:])).is_taken
            refused = await other.take(many)
            assert not refused.is_taken
            assert min(refused.missing_seconds) > 900

    asyncio.run(scenario())
    assert client.dbsize() == len(many)


def test_on_a_cluster_gateways_share_a_limit_too() -> None:
    """Buckets of whatever name are in one slot, that of the outcomes."""

    async def scenario(url: str) -> None:
        claims = [Claim(name, 1, 100) for name in ("a", "b", "c")]
        async with gateways(url) as (one, other):
            assert (await one.take(claims)).is_taken
            assert not (await other.take(claims[2:])).is_taken

    with started(redis_cluster) as cluster:
        asyncio.run(scenario(cluster.url))


def test_the_oldest_redis_does_it_too() -> None:
    """6.2: the script asks for the time, and then writes."""
    with oldest_redis() as server:

        async def scenario() -> None:
            async with gateways(server.url) as (one, other):
                assert (await one.take([Claim("a", 1, 100)])).is_taken
                assert not (await other.take([Claim("a", 1, 1)])).is_taken

        asyncio.run(scenario())
