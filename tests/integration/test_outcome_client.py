"""Consumers of the result channel, on a real server, by either face of the client."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

from settle_client import AsyncOutcomeClient, BelongsElsewhereError, UnreadOutcome
from tasks.publishing import OutcomePublisher
from tasks.settle import invalid
from tests import faces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from settle_client import Outcome

face = faces.face


@pytest.fixture
def publisher(redis_url: str) -> Iterator[OutcomePublisher]:
    """Give the writing end."""
    with closing(
        OutcomePublisher(redis.Redis.from_url(redis_url), stream_max_length=10_000)
    ) as publisher:
        yield publisher


@pytest.fixture
def client(face: Any, redis_url: str) -> Iterator[Any]:
    """Give the reading end."""
    with closing(face.outcome_client(redis_url)) as client:
        yield client


def outcome(number: int, message_id: str = "m") -> Outcome:
    """Make an outcome that can be known from others."""
    return invalid(message_id, f"ev_{number}", "failed", "why", index=number)


def odd(payload: str) -> str:
    """Write an outcome with a payload that Python cannot hold."""
    return outcome(0, "odd").to_json().decode()[:-1] + f', "payload": {payload}}}'


def ids(outcomes: Iterator[Outcome], count: int) -> list[str | None]:
    """Take the ids of the next few."""
    return [one.id for one in itertools.islice(outcomes, count)]


def test_a_listener_hears_what_is_published_from_then_on(
    client: Any, publisher: OutcomePublisher
) -> None:
    """Subscribing is done when the block is entered."""
    publisher.publish([outcome(0)])
    with client.subscribe() as outcomes:
        publisher.publish([outcome(1), outcome(2)])
        assert ids(outcomes, 2) == ["ev_1", "ev_2"]


def test_a_reader_begins_where_it_wants(client: Any, publisher: OutcomePublisher) -> None:
    """At the start of the stream, or at a position taken before."""
    assert client.position() == "0-0"
    publisher.publish([outcome(0)])
    position = client.position()
    publisher.publish([outcome(1)])
    assert ids(client.read(), 2) == ["ev_0", "ev_1"]
    assert ids(client.read(position), 1) == ["ev_1"]


def test_a_poll_of_nothing_new_is_empty(client: Any) -> None:
    """It comes back after the time it was given."""
    assert client.poll("0-0", wait_seconds=0.01) == []


def test_a_group_handles_each_outcome_once(
    face: Any, redis_url: str, client: Any, publisher: OutcomePublisher
) -> None:
    """Two members share the stream between them."""
    publisher.publish([outcome(number) for number in range(10)])
    one = client.follow("g", "one")
    first = ids(one, 10)
    publisher.publish([outcome(number) for number in range(10, 20)])
    with closing(face.outcome_client(redis_url)) as other:
        # Asking for the eleventh acknowledges the tenth.
        second = ids(one, 5)
        one.close()
        assert first + second == [f"ev_{number}" for number in range(15)]
        third = ids(other.follow("g", "two", claim_after_seconds=0), 6)
    # What was at hand when the loop was left comes again, and nothing else does.
    assert third == [f"ev_{number}" for number in range(14, 20)]


def test_a_member_that_comes_back_resumes_its_work(
    client: Any, publisher: OutcomePublisher
) -> None:
    """What it had not acknowledged comes first."""
    publisher.publish([outcome(0), outcome(1)])
    follower = client.follow("g", "one")
    assert ids(follower, 1) == ["ev_0"]
    follower.close()
    assert ids(client.follow("g", "one"), 2) == ["ev_0", "ev_1"]


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("legacy_responses", [True, False], ids=["former", "unified"])
def test_outcomes_are_read_in_either_protocol_of_redis(
    face: Any,
    redis_url: str,
    publisher: OutcomePublisher,
    protocol: int,
    legacy_responses: bool,
) -> None:
    """However redis-py hands them on."""
    options = {"protocol": protocol, "legacy_responses": legacy_responses}
    with closing(face.outcome_client(redis_url, **options)) as client:
        assert client.poll("0-0", wait_seconds=0.1) == []
        publisher.publish([outcome(1)])
        ((_, read),) = client.poll("0-0", wait_seconds=0.1)
        assert read.id == next(client.follow("group", "member")).id == "ev_1"


def test_waiting_ends_when_every_update_is_answered(
    client: Any, publisher: OutcomePublisher
) -> None:
    """Others' outcomes are passed over, and a repeated one is given once."""
    publisher.publish([outcome(1, "other"), outcome(1), outcome(1)])
    late = threading.Timer(0.05, publisher.publish, [[outcome(2)]])
    late.start()
    came = client.wait({"m": ["ev_1", "ev_2"]}, timeout_seconds=30)
    assert [one.id for one in came] == ["ev_1", "ev_2"]
    late.join()


def test_waiting_in_vain_is_an_error(client: Any, publisher: OutcomePublisher) -> None:
    """It says how many are missing, after yielding those that came."""
    publisher.publish([outcome(1)])
    coming = client.wait({"m": ["ev_1", "ev_2"]}, timeout_seconds=0.5)
    assert next(coming).id == "ev_1"
    with pytest.raises(TimeoutError, match="1 of the updates"):
        next(coming)


def test_a_trimmed_entry_does_not_stop_a_group(
    redis_url: str, client: Any, publisher: OutcomePublisher
) -> None:
    """What was trimmed away while it was pending is passed over."""
    publisher.publish([outcome(0), outcome(1)])
    follower = client.follow("g", "one")
    next(follower)
    follower.close()
    with redis.Redis.from_url(redis_url) as raw:
        raw.xtrim("event-outcomes", maxlen=0)
    time.sleep(0.01)
    publisher.publish([outcome(2)])
    assert ids(client.follow("g", "two", claim_after_seconds=0), 1) == ["ev_2"]


@pytest.mark.parametrize(
    "entry",
    [
        {"outcome": "{}"},
        {"outcome": b"\xff\xfe"},
        {"by": "hand"},
        {"outcome": odd('{"n": ' + "9" * 4_400 + "}")},
        {"outcome": odd("[" * 100_000 + "]" * 100_000)},
    ],
    ids=["another object", "no text", "no outcome", "4,400 digits", "too deep"],
)
def test_what_cannot_be_read_is_given_as_it_is(
    client: Any, publisher: OutcomePublisher, redis_url: str, entry: Any
) -> None:
    """By every way of reading; those after it are read too, and in a group it is acknowledged."""
    with redis.Redis.from_url(redis_url) as raw, client.subscribe() as heard:
        raw.xadd("event-outcomes", entry)
        raw.publish("event-outcomes", entry.get("outcome", "no outcome"))
        publisher.publish([outcome(1)])
        odd_one, *_ = followed = list(itertools.islice(client.follow("g", "one"), 2))
        for seen in (followed, list(itertools.islice(client.read(), 2)), _next(heard, 2)):
            assert isinstance(seen[0], UnreadOutcome) or seen[0].payload in entry["outcome"]
            assert (seen[0].updated, seen[1].id) == (False, "ev_1")
        assert raw.xpending("event-outcomes", "g")["pending"] == 1
    ((_, polled), _) = client.poll("0-0", wait_seconds=1)
    assert polled == odd_one
    (waited,) = client.wait({"m": ["ev_1"]}, timeout_seconds=30)
    assert waited.id == "ev_1"


def _next(outcomes: Iterator[Outcome], count: int) -> list[Outcome]:
    return [next(outcomes) for _ in range(count)]


def test_a_poll_may_wait_longer_than_a_connection_is_waited_for(
    face: Any, redis_url: str, publisher: OutcomePublisher
) -> None:
    """It asks again and again meanwhile."""
    with closing(face.outcome_client(redis_url, socket_timeout=1.5)) as client:
        late = threading.Timer(2.0, publisher.publish, [[outcome(1)]])
        late.start()
        ((_, came),) = client.poll("0-0", wait_seconds=60)
        assert came.id == "ev_1"
        late.join()


def test_another_event_loop_is_refused(redis_url: str) -> None:
    """Its connections are of one."""
    client = AsyncOutcomeClient(redis_url)

    async def use() -> None:
        await client.position()

    async def use_and_close() -> None:
        await client.position()
        await client.close()

    with asyncio.Runner() as runner:
        runner.run(use())
        with pytest.raises(BelongsElsewhereError, match="another event loop"):
            asyncio.run(use())
        runner.run(use_and_close())


@pytest.mark.parametrize("turns", range(0, 24, 3))
def test_what_is_about_to_connect_when_its_client_is_closed_leaves_nothing_open(
    redis_url: str, turns: int
) -> None:
    """In whichever turn of the loop that is."""

    async def close_meanwhile() -> None:
        async with AsyncOutcomeClient(redis_url) as client:
            asking = asyncio.ensure_future(client.position())
            for _ in range(turns):
                await asyncio.sleep(0)
        await asyncio.gather(asking, return_exceptions=True)
        pool: Any = client._client.connection_pool
        assert not any(one.is_connected for one in pool._get_in_use_connections())
        assert not any(one.is_connected for one in pool._get_free_connections())

    asyncio.run(close_meanwhile())
