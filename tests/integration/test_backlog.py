"""What waits at a Redis broker, and what lies dead at the result channel, on a real server."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

from cli.embedded import Redis as Server
from cli.embedded import temporary_folder
from service.backlog import dead_letters_kept, result_channel_of
from service.settings import Settings
from settle_client.names import DEAD_LETTERS, QUEUE
from tests.sentinel import sentinel
from worker.transport.redis.broker import Redis, Socket
from worker.transport.redis.checks import backlog

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """Give an empty Redis."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


def settings(url: str, **others: Any) -> Settings:
    """Return settings of a broker that has the result channel."""
    changed = {"broker_url": url, "outcome_url": url, **others}
    return Settings.model_construct(**{**Settings().model_dump(), **changed})


def waiting(url: str) -> tuple[float, float]:
    """Return how many messages wait, and for how many seconds."""
    with Redis().reach(settings(url)) as server:
        return Redis().waiting(server)


def item(age_seconds: float) -> str:
    """Return a message that was sent so long ago."""
    return json.dumps({"headers": {"sent_at": time.time() - age_seconds}})


def test_nothing_waits_in_an_empty_queue(redis_url: str) -> None:
    """Since no time at all."""
    assert waiting(redis_url) == (0, 0.0)


def test_what_is_delayed_is_counted_by_itself(redis_url: str, client: Any) -> None:
    """It does not wait: its time has not come. The doctor has a word for it where there is any."""
    with Redis().reach(settings(redis_url)) as server:
        assert Redis().delayed(server) == 0
        assert backlog(server).found == "0 messages waiting, 0 held by workers"
        client.zadd(f"{QUEUE}.delayed", {"tag\0list\0item": 1, "another": 2})
        assert (Redis().delayed(server), Redis().waiting(server)) == (2, (0, 0.0))
        assert backlog(server).found == "0 messages waiting, 0 held by workers, 2 delayed"


def test_what_waits_is_counted_in_every_list(redis_url: str, client: Any) -> None:
    """That of each priority, and that of suspects; the one that is next in any is the oldest."""
    client.lpush(QUEUE, item(100), item(50))
    client.lpush(f"{QUEUE}\x06\x169", item(200))
    client.lpush(f"{QUEUE}.retry", item(300), item(400))
    count, age = waiting(redis_url)
    assert count == 5
    assert age == pytest.approx(300, abs=30)


def test_what_does_not_say_when_it_was_sent_has_no_age(redis_url: str, client: Any) -> None:
    """Be it text or not; it is counted all the same."""
    client.lpush(QUEUE, b"\xff\xfe")
    count, age = waiting(redis_url)
    assert count == 1
    assert math.isnan(age)
    client.lpush(f"{QUEUE}.retry", item(60))
    count, age = waiting(redis_url)
    assert count == 2
    assert age == pytest.approx(60, abs=30)


class OnASocket(Server):
    """A server that listens on a socket of this machine as well."""

    def command(self) -> list[str]:
        """Return the command line."""
        return [*super().command(), "--unixsocket", str(self.directory / "redis.sock")]


def test_a_broker_is_looked_at_however_it_is_reached() -> None:
    """By its socket, in any of its databases, and behind sentinels."""
    with temporary_folder() as folder, OnASocket(folder / "redis") as server:
        path = server.directory / "redis.sock"
        with redis.Redis.from_url(f"{server.url.rpartition('/')[0]}/3") as client:
            client.lpush(QUEUE, item(1))
        for address, count in ((f"{path}", 0), (f"{path}?virtual_host=3", 1)):
            with Socket().reach(settings(f"redis+socket://{address}")) as found:
                assert Socket().waiting(found)[0] == count
        with (
            sentinel(server, folder) as url,
            Redis().reach(settings(f"{url}/3", sentinel_master="settle")) as found,
        ):
            assert Redis().waiting(found)[0] == 1


def test_dead_letters_are_counted(redis_url: str, client: Any) -> None:
    """Where the result channel is."""
    client.xadd(DEAD_LETTERS, {"raw": "…"})
    channel = result_channel_of(settings(redis_url))
    assert channel.ask(dead_letters_kept) == 1
    channel.close()
