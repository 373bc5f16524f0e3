"""Whether outcomes can be published, found out without publishing any, on real servers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis

from cli.embedded import Redis, temporary_folder
from settle_client.names import DEAD_LETTERS, OUTCOMES
from tasks.errors import NoRoomError, OutcomesNotPublishedError
from tasks.memory_limit import MARGIN_BYTES
from tasks.publishing import OutcomePublisher
from tests.oldest_redis import oldest_redis
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def newest() -> Iterator[Redis]:
    """Run one."""
    with temporary_folder() as folder, Redis(folder / "redis") as server:
        yield server


@pytest.fixture(params=[oldest_redis, newest], ids=["redis-6.2", "newest"], scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Redis]:
    """Give one of both."""
    with request.param() as server:
        yield server


@pytest.fixture
def client(server: Redis) -> Iterator[Any]:
    """Give an administrator's client."""
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        yield client
        client.config_set("maxmemory", 0)
        client.config_set("min-replicas-to-write", 0)
        client.flushall()


def check(server: Redis, *rules: str, keep_for: tuple[str, ...] = ()) -> None:
    """Check as a user with these rules more than all rights."""
    with redis.Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "poor", "reset", "on", ">secret", *ALL, *rules)
    address = server.url.replace("redis://", "redis://poor:secret@")
    with redis.Redis.from_url(address) as client:
        OutcomePublisher(client, stream_max_length=2, keep_for=keep_for).check()


ALL = ("allkeys", "allchannels", "+@all")


@pytest.mark.parametrize("made", [False, True], ids=["no stream", "a stream with a group alone"])
def test_looking_adds_nothing(client: Any, server: Redis, *, made: bool) -> None:
    """Not even the stream."""
    if made:
        client.xgroup_create(OUTCOMES, "billing", "0", mkstream=True)
    check(server)
    check(server, "-@all", "+xadd", "+evalsha", "+script", "resetkeys", "~event-*")
    assert client.exists(OUTCOMES, DEAD_LETTERS) == made
    assert client.xlen(OUTCOMES) == 0


def fill(client: Any) -> None:
    """Leave no room, and none above."""
    client.set("ballast", "." * (MARGIN_BYTES + 1))
    client.config_set("maxmemory", 1)


def take_no_writes(client: Any) -> None:
    """Ask for a replica that there is not."""
    client.config_set("min-replicas-to-write", 1)


@pytest.mark.parametrize(
    ("rules", "break_it", "said"),
    [
        (("-xadd",), None, "(?i)permission|can't run this command"),
        (("resetkeys", "~other"), None, "(?i)permission|key"),
        (("resetkeys", f"~{OUTCOMES}"), None, "(?i)permission|key"),
        ((), fill, "maxmemory"),
        ((), take_no_writes, "(?i)replicas"),
    ],
    ids=["no right", "no key", "no dead letters", "full", "no writes"],
)
def test_what_keeps_outcomes_from_being_published_is_found(
    client: Any,
    server: Redis,
    rules: tuple[str, ...],
    break_it: Callable[[Any], None] | None,
    said: str,
) -> None:
    """Before there is one."""
    if break_it is not None:
        break_it(client)
    with pytest.raises(OutcomesNotPublishedError, match=said):
        check(server, *rules)


def test_above_the_limit_it_is_good_as_long_as_publishing_is(client: Any, server: Redis) -> None:
    """For whoever may trim: that is how outcomes are written there."""
    # What the tests before have left is given back in the background.
    eventually(lambda: client.info("memory")["used_memory"] < MARGIN_BYTES)
    client.config_set("maxmemory", 1)
    check(server)
    with pytest.raises(OutcomesNotPublishedError, match="maxmemory"):
        check(server, "-xtrim")


def test_a_group_that_needs_all_of_the_stream_is_named(client: Any, server: Redis) -> None:
    """Nothing more is settled until it has read on."""
    client.xgroup_create(OUTCOMES, "billing", "0", mkstream=True)
    check(server, keep_for=("billing",))
    for _ in range(2):
        client.xadd(OUTCOMES, {"outcome": "{}"})
    with pytest.raises(NoRoomError, match="billing"):
        check(server, keep_for=("billing",))
