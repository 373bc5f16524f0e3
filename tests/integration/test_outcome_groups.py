"""Members of a consumer group, and other readers, on servers that fail them."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import pytest
import redis

from cli.embedded import Redis, temporary_folder
from settle_client import OutcomeClient
from tasks.publishing import OutcomePublisher
from tasks.settle import invalid
from tests import faces
from tests.faults.network import Link
from tests.oldest_redis import oldest_redis
from tests.sentinel import sentinel
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from settle_client import Outcome

face = faces.face
GROUP, STREAM = "billing", "event-outcomes"


def publish(url: str, *numbers: int, stream_max_length: int = 10_000) -> None:
    """Publish outcomes that can be known from others."""
    with redis.Redis.from_url(url) as client:
        outcomes = [
            invalid("m", f"ev_{number}", "failed", "why", index=number) for number in numbers
        ]
        OutcomePublisher(client, stream_max_length=stream_max_length).publish(outcomes)


@contextmanager
def newest(*, append_only: bool = False) -> Iterator[Redis]:
    """Run the server that everybody else uses."""
    with temporary_folder() as folder, Redis(folder / "redis", append_only=append_only) as server:
        yield server


@pytest.fixture(params=[oldest_redis, newest], ids=["redis-6.2", "newest"])
def server(request: pytest.FixtureRequest) -> Iterator[Redis]:
    """Give a server that may be broken, of each kind."""
    with request.param() as server:
        yield server


class Reading(threading.Thread):
    """Somebody who reads, and takes some time over each outcome, until there is a last one."""

    def __init__(self, url: str, outcomes: Iterator[Outcome], seconds_each: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.url, self.outcomes, self.seconds_each = url, outcomes, seconds_each
        self.seen: list[str | None] = []
        self.error: BaseException | None = None
        self.is_last = False

    def run(self) -> None:
        """Read until there is trouble."""
        try:
            for outcome in self.outcomes:
                if self.is_last:
                    break
                self.seen.append(outcome.id)
                time.sleep(self.seconds_each)
            self.outcomes.close()  # type: ignore[attr-defined]
        except Exception as error:  # noqa: BLE001 - the test's to judge
            self.error = error

    def has_seen(self, *numbers: int) -> bool:
        """Return whether it has, and is well."""
        assert self.error is None
        return {f"ev_{number}" for number in numbers} <= set(self.seen)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_last = True
        while self.is_alive():
            publish(self.url, -1)
            self.join(0.1)


def test_healthy_members_never_handle_the_same(face: Any, server: Redis) -> None:
    """Though work on a page takes far longer than the time after which it is taken over."""
    publish(server.url, *range(60))
    with ExitStack() as stack:
        members = []
        for name in ("one", "two", "three"):
            client = stack.enter_context(closing(face.outcome_client(server.url)))
            followed = client.follow(GROUP, name, claim_after_seconds=1)
            # The first has taken all that there is before the others come.
            members.append(stack.enter_context(Reading(server.url, followed, seconds_each=0.05)))
            eventually(lambda: bool(members[0].seen))
        eventually(lambda: members[0].has_seen(*range(60)))
        handled = Counter(id_ for member in members for id_ in member.seen)
        assert set(handled.values()) == {1}


def test_one_outcome_may_take_longer_than_the_time_to_take_over(face: Any, server: Redis) -> None:
    """It is renewed while its member is at it."""
    publish(server.url, 0)
    with ExitStack() as stack:
        one, two = (stack.enter_context(closing(face.outcome_client(server.url))) for _ in range(2))
        busy = stack.enter_context(closing(one.follow(GROUP, "one", claim_after_seconds=1)))
        assert next(busy).id == "ev_0"
        followed = two.follow(GROUP, "two", claim_after_seconds=1)
        idle = stack.enter_context(Reading(server.url, followed))
        time.sleep(2.5)
        publish(server.url, 1)
        eventually(lambda: idle.has_seen(1))
        assert idle.seen == ["ev_1"]


def is_left(raw: Any, count: int) -> bool:
    """Return whether so many are not acknowledged."""
    return bool(raw.xpending(STREAM, GROUP)["pending"] == count)


def test_what_was_handled_is_acknowledged_one_by_one(face: Any, server: Redis) -> None:
    """When the next is asked for or a moment later, not at the end of what was read together."""
    publish(server.url, *range(10))
    with (
        closing(face.outcome_client(server.url)) as client,
        redis.Redis.from_url(server.url) as raw,
    ):
        followed = client.follow(GROUP, "one")
        for left in range(10, 0, -1):
            next(followed)
            eventually(partial(is_left, raw, left))


def test_a_fast_member_does_not_wait_for_the_server_once_an_outcome(
    face: Any, server: Redis
) -> None:
    """However far away it is; and all that it handled is acknowledged when it leaves."""
    publish(server.url, *range(2000))
    with (
        closing(face.outcome_client(server.url)) as client,
        redis.Redis.from_url(server.url) as raw,
    ):
        with closing(client.follow(GROUP, "one")) as followed:
            for _ in range(2000):
                next(followed)
        assert raw.xpending(STREAM, GROUP)["pending"] == 1
        assert raw.info("commandstats")["cmdstat_xack"]["calls"] < 1000


def test_a_client_that_is_closed_connects_no_more(face: Any, server: Redis) -> None:
    """Though a loop was left, and has something to acknowledge."""
    publish(server.url, *range(10))
    client = face.outcome_client(server.url)
    followed = client.follow(GROUP, "one")
    for _ in range(5):
        next(followed)
    client.close()
    with redis.Redis.from_url(server.url) as raw:
        followed.close()
        time.sleep(0.2)
        # Only the one who asks.
        assert len(raw.client_list()) == 1


def test_what_a_member_that_is_gone_had_is_taken_over(face: Any, server: Redis) -> None:
    """All that it had not acknowledged, and once."""
    publish(server.url, *range(250))
    with (
        closing(face.outcome_client(server.url)) as client,
        redis.Redis.from_url(server.url) as raw,
    ):
        raw.xgroup_create(STREAM, GROUP, "0")
        raw.xreadgroup(GROUP, "gone", {STREAM: ">"})
        taken = client.follow(GROUP, "one", claim_after_seconds=0.2)
        time.sleep(0.2)
        seen = [one.id for one in itertools.islice(taken, 250)]
        assert seen == [f"ev_{number}" for number in range(250)]


def test_what_was_trimmed_stops_no_member(face: Any, server: Redis) -> None:
    """Not one that was at it, nor one that takes over: on Redis 6.2 nothing says what it was."""
    publish(server.url, *range(250))
    with redis.Redis.from_url(server.url) as raw:
        raw.xgroup_create(STREAM, GROUP, "0")
        raw.xreadgroup(GROUP, "gone", {STREAM: ">"})
        raw.xreadgroup(GROUP, "one", {STREAM: ">"})
        raw.xtrim(STREAM, maxlen=5, approximate=False)
        publish(server.url, 250)
        for name in ("one", "two"):
            time.sleep(0.2)
            with closing(face.outcome_client(server.url)) as client:
                taken = client.follow(GROUP, name, claim_after_seconds=0.1)
                assert next(taken).id == ("ev_250" if name == "one" else "ev_245")
                taken.close()


def cut(_: Redis, link: Link) -> None:
    """Cut every connection, in the middle of whatever it carries."""
    link.cut()


def kill_connections(server: Redis, _: Link) -> None:
    """Close every connection at the server."""
    with redis.Redis(port=server.port) as raw:
        raw.client_kill_filter(_type="normal", skipme=True)
        raw.client_kill_filter(_type="pubsub")


def restart(server: Redis, _: Link) -> None:
    """Lose everything, and be away for a while."""
    server.stop(immediate=True)
    time.sleep(0.5)
    server.start()


def flush(server: Redis, _: Link) -> None:
    """Lose everything."""
    with redis.Redis(port=server.port) as raw:
        raw.flushall()


def demote(server: Redis, _: Link) -> None:
    """Take no writes for a while, as a primary does that follows another."""
    with redis.Redis(port=server.port) as raw:
        raw.replicaof("127.0.0.1", str(server.port))
        time.sleep(0.5)
        raw.replicaof("NO", "ONE")


@pytest.mark.parametrize("break_it", [cut, kill_connections, restart, flush, demote])
@pytest.mark.parametrize("way", ["follow", "read", "subscribe"])
def test_readers_outlive_what_passes(face: Any, server: Redis, break_it: Any, way: str) -> None:
    """And read what is published afterwards."""
    with ExitStack() as stack:
        link = stack.enter_context(Link(server.port))
        client = stack.enter_context(closing(face.outcome_client(link.through(server.url))))
        publish(server.url, 0)
        if way == "subscribe":
            outcomes = stack.enter_context(client.subscribe())
        else:
            outcomes = client.follow(GROUP, "one") if way == "follow" else client.read()
        reading = stack.enter_context(Reading(server.url, outcomes))
        if way != "subscribe":
            eventually(lambda: reading.has_seen(0))
        break_it(server, link)
        numbers = itertools.count(1)

        def hears() -> bool:
            # What is published while nobody listens is not heard.
            publish(server.url, next(numbers))
            time.sleep(0.05)
            return len(reading.seen) > (way != "subscribe") and reading.error is None

        eventually(hears, lambda: reading.error)
        if way == "follow":
            publish(server.url, 10_000)
            eventually(lambda: reading.has_seen(10_000))
            # Nothing comes that is not asked for again.
            with redis.Redis.from_url(server.url) as raw:
                eventually(lambda: raw.xpending(STREAM, GROUP)["pending"] == 0)


def test_waiting_outlives_a_restart(face: Any) -> None:
    """In the time that there is."""
    with newest(append_only=True) as server, closing(face.outcome_client(server.url)) as client:
        since = client.position()
        came = client.wait({"m": ["ev_0", "ev_1"]}, timeout_seconds=60, since=since)
        waiting = Reading(server.url, came)
        waiting.start()
        publish(server.url, 0)
        eventually(lambda: waiting.has_seen(0))
        server.stop()
        time.sleep(0.5)
        server.start()
        publish(server.url, 1)
        waiting.join()
        assert waiting.has_seen(0, 1)


def test_waiting_for_a_server_that_is_away_ends_in_time(face: Any) -> None:
    """And says why."""
    with newest() as server, closing(face.outcome_client(server.url)) as client:
        server.stop()
        with pytest.raises(TimeoutError, match=r"for 1 of the updates: .*127\.0\.0\.1"):
            next(client.wait({"m": ["ev_0"]}, timeout_seconds=0.5))


def test_a_member_follows_a_failover(face: Any) -> None:
    """To the new primary, with what was acknowledged there."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        primary = stack.enter_context(Redis(folder / "primary"))
        replica = stack.enter_context(Redis(folder / "replica"))
        raw = stack.enter_context(redis.Redis(port=replica.port))
        raw.replicaof("127.0.0.1", str(primary.port))
        eventually(lambda: raw.info("replication")["master_link_status"] == "up")
        url = stack.enter_context(sentinel(primary, folder))
        client = stack.enter_context(closing(face.outcome_client(url, master_name="settle")))
        publish(primary.url, 0, 1)
        reading = stack.enter_context(Reading(replica.url, client.follow(GROUP, "one")))
        eventually(lambda: reading.has_seen(0, 1))
        eventually(lambda: raw.exists(STREAM) and raw.xpending(STREAM, GROUP)["pending"] == 0)
        primary.stop(immediate=True)
        eventually(lambda: raw.info("replication")["role"] == "master")
        publish(replica.url, 2)
        eventually(lambda: reading.has_seen(2))
        assert reading.seen == ["ev_0", "ev_1", "ev_2"]


@pytest.mark.parametrize("has_read", [0, 30], ids=["never read", "stalled"])
def test_what_is_trimmed_before_it_is_read_is_counted(
    face: Any, server: Redis, has_read: int
) -> None:
    """Once, and before what comes after it; Redis 6.2 does not say how much it is."""
    publish(server.url, *range(100))
    gone: list[int | None] = []
    with ExitStack() as stack:
        raw = stack.enter_context(redis.Redis.from_url(server.url))
        raw.xgroup_create(STREAM, GROUP, "0")
        if has_read:
            raw.xreadgroup(GROUP, "one", {STREAM: ">"}, count=has_read, noack=True)
        raw.xtrim(STREAM, maxlen=60, approximate=False)
        client = stack.enter_context(closing(face.outcome_client(server.url)))
        followed = client.follow(GROUP, "one", on_gone=gone.append)
        seen = [one.id for one in itertools.islice(followed, 60)]
        assert seen == [f"ev_{number}" for number in range(40, 100)]
        knows = "entries-added" in raw.xinfo_stream(STREAM)
        expected: list[int | None] = [40 - has_read] if knows else [None] if has_read else []
        assert gone == expected
        publish(server.url, 100)
        assert next(followed).id == "ev_100"
        assert gone == expected


def test_what_nobody_asks_for_is_in_the_log(
    server: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing goes without a word."""
    publish(server.url, 0)
    with OutcomeClient(server.url) as client, closing(client.follow(GROUP, "one")) as followed:
        next(followed)
        publish(server.url, *range(1, 3_000), stream_max_length=1_000)
        next(followed)
    (line,) = [record for record in caplog.records if record.name == "settle_client"]
    assert "trimmed from the stream before the group billing had read them" in line.getMessage()


def test_a_group_that_keeps_up_loses_nothing(face: Any, server: Redis) -> None:
    """What is trimmed behind it is of no matter."""
    gone: list[int | None] = []
    with closing(face.outcome_client(server.url)) as client:
        followed = client.follow(GROUP, "one", on_gone=gone.append)
        for number in range(0, 1_000, 50):
            publish(server.url, *range(number, number + 50), stream_max_length=100)
            for _ in range(50):
                next(followed)
    assert gone == []


@pytest.mark.parametrize("more", [(), ("+multi",), ("+multi", "+exec")], ids=repr)
def test_a_user_who_may_not_look_reads_all_the_same(
    face: Any, server: Redis, more: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once that nothing would be noticed."""
    publish(server.url, *range(150))
    with redis.Redis.from_url(server.url) as raw:
        allowed = ("+@connection", "+xgroup", "+xreadgroup", "+xack", "+xautoclaim", *more)
        raw.execute_command("ACL", "SETUSER", "old", "reset", "on", ">secret", "~*", *allowed)
    url = server.url.replace("redis://", "redis://old:secret@")
    with closing(face.outcome_client(url)) as client:
        seen = [one.id for one in itertools.islice(client.follow(GROUP, "one"), 150)]
    assert sorted(seen) == sorted(f"ev_{number}" for number in range(150))
    lines = [record for record in caplog.records if record.name == "settle_client"]
    assert [line.getMessage()[:7] for line in lines] == ["what is"]


def test_the_stream_is_trimmed_however_small_its_nodes_are(server: Redis) -> None:
    """Redis trims a hundred nodes at once at most."""
    with redis.Redis.from_url(server.url) as client:
        client.config_set("stream-node-max-entries", 5)
        for first in range(0, 10_000, 1_000):
            publish(server.url, *range(first, first + 1_000), stream_max_length=2_000)
        assert client.xlen(STREAM) <= 2_100
