"""Outcomes at the memory limit of a real server: written as far above it as is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis

from settle_client.names import DEAD_LETTERS, OUTCOMES
from tasks.errors import OutcomesNotPublishedError
from tasks.memory_limit import MARGIN_BYTES
from tasks.publishing import DeadLetter, OutcomePublisher
from tasks.settle import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = invalid("m", None, None, "it is not JSON")
LETTER = DeadLetter("m", "it is not JSON", "{", {})


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """Give a Redis that is full."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.config_set("maxmemory", 1)
        yield client
        client.config_set("maxmemory", 0)
        client.delete("ballast")


def publish(client: Any, stream_max_length: int = 1_000) -> None:
    """Publish an outcome and its dead letter."""
    OutcomePublisher(client, stream_max_length=stream_max_length).publish([ANSWER], [LETTER])


def test_outcomes_and_dead_letters_are_written_to_a_full_server(client: Any) -> None:
    """What is refused otherwise is not refused to them, and both are whole."""
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        client.xadd(OUTCOMES, {"outcome": "{}"})
    publish(client)
    ((_, entry),) = client.xrange(OUTCOMES)
    assert entry == {"outcome": ANSWER.to_json().decode()}
    ((_, letter),) = client.xrange(DEAD_LETTERS)
    assert (letter["messageId"], letter["reason"], letter["raw"]) == ("m", LETTER.reason, "{")


def test_the_stream_is_trimmed_all_the_same(client: Any) -> None:
    """Above the limit it does not grow longer than it may be."""
    for _ in range(500):
        publish(client, stream_max_length=100)
    assert client.xlen(OUTCOMES) <= 200


def test_far_above_the_limit_they_wait(client: Any) -> None:
    """Nothing is written then, and who publishes is told why."""
    client.config_set("maxmemory", 0)
    client.set("ballast", "." * (MARGIN_BYTES + 1))
    client.config_set("maxmemory", 1)
    with pytest.raises(OutcomesNotPublishedError, match="maxmemory"):
        publish(client)
    assert not client.exists(OUTCOMES, DEAD_LETTERS)


@pytest.mark.parametrize("missing", ["-xtrim", "-info"])
def test_a_user_without_the_right_is_told_that_memory_is_short(
    client: Any, redis_url: str, missing: str
) -> None:
    """As the gateway's user, which empties no queue: the answer is the server's own."""
    rules = ("on", ">secret", "allkeys", "allchannels", "+@all", missing)
    client.execute_command("ACL", "SETUSER", "poor", *rules)
    try:
        address = redis_url.replace("redis://", "redis://poor:secret@")
        with (
            redis.Redis.from_url(address) as poor,
            pytest.raises(OutcomesNotPublishedError, match="maxmemory"),
        ):
            publish(poor)
    finally:
        client.execute_command("ACL", "DELUSER", "poor")
