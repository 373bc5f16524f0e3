"""The latest dead letters, looked at again and again, on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis

from settle_client.names import DEAD_LETTERS
from tasks.dead_letters import DeadLetters
from tasks.latest_letters import BYTES_PER_CALL, LATEST, LETTERS_PER_CALL, LatestLetters
from tasks.publishing import DeadLetter, OutcomePublisher
from tests.oldest_redis import oldest_redis

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["newest", "redis-6.2"])
def client(redis_url: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give an empty Redis."""
    options: Any = {"decode_responses": True, "encoding_errors": "backslashreplace"}
    if request.param == "newest":
        with redis.Redis.from_url(redis_url, **options) as client:
            yield client
        return
    with oldest_redis() as server, redis.Redis.from_url(server.url, **options) as client:
        yield client


def add(client: Any, first: int, last: int) -> None:
    """Add letters whose ids are their numbers."""
    with client.pipeline(transaction=False) as pipe:
        for number in range(first, last + 1):
            pipe.xadd(DEAD_LETTERS, {"messageId": f"m{number}", "raw": "x"}, id=f"{number}-0")
        pipe.execute()


def look(client: Any, latest: LatestLetters) -> int:
    """Look, see that it is all true, and return how often the server was asked for letters."""
    client.config_resetstat()
    latest.look(client)
    calls = client.info("commandstats").get("cmdstat_xrevrange", {"calls": 0})["calls"]
    newest = [entry for entry, _ in client.xrevrange(DEAD_LETTERS, count=LATEST)]
    assert [letter.entry for letter in latest.letters] == newest
    assert latest.kept == client.xlen(DEAD_LETTERS)
    return int(calls)


def test_what_is_new_is_read_and_nothing_again(client: Any) -> None:
    """However many letters there are; what is looked at is read one by one."""
    latest = LatestLetters()
    assert look(client, latest) == 1
    add(client, 1, 5)
    # Two of them find no more.
    assert look(client, latest) == 5 + 2
    assert look(client, latest) == 1
    add(client, 6, 7)
    assert look(client, latest) == 2 + 2


def test_no_more_than_the_latest_are_looked_at(client: Any) -> None:
    """Of more than that, and when more than that have come."""
    add(client, 1, LATEST + LETTERS_PER_CALL)
    latest = LatestLetters()
    assert look(client, latest) == LATEST
    add(client, 5_001, 5_000 + LATEST + 1)
    assert look(client, latest) <= 2 * LATEST
    assert latest.letters[0].entry == f"{5_001 + LATEST}-0"


@pytest.mark.parametrize("gone", [1, 3, 5], ids=["the oldest", "one between", "the newest"])
def test_what_went_is_noticed(client: Any, gone: int) -> None:
    """Also where as many have come meanwhile."""
    add(client, 1, 5)
    latest = LatestLetters()
    look(client, latest)
    client.xdel(DEAD_LETTERS, f"{gone}-0")
    look(client, latest)
    client.xdel(DEAD_LETTERS, "2-0")
    add(client, 6, 6)
    look(client, latest)
    client.delete(DEAD_LETTERS)
    look(client, latest)
    assert latest.letters == []


def test_what_is_in_a_letter_does_not_travel(client: Any) -> None:
    """It may be megabytes; the rest is as it was written."""
    publisher = OutcomePublisher(client, stream_max_length=10)
    publisher.publish([], [DeadLetter("m1", "no JSON", "x" * 1_000_000, {"queue": "q"}, 7)])
    latest = LatestLetters()
    client.config_resetstat()
    latest.look(client)
    assert client.info("stats")["total_net_output_bytes"] < 10_000
    (letter,), (whole,) = latest.letters, DeadLetters(client).newest(1)
    assert (letter.raw, letter.delivery) == ("", {})
    for name in ("entry", "message_id", "reason", "time", "index"):
        assert getattr(letter, name) == getattr(whole, name)


def test_no_call_is_long(client: Any) -> None:
    """Where letters are large it describes few of them."""
    for _ in range(5):
        client.xadd(DEAD_LETTERS, {"raw": "x" * BYTES_PER_CALL})
    client.config_resetstat()
    latest = LatestLetters()
    latest.look(client)
    assert len(latest.letters) == 5
    stats = client.info("commandstats")
    assert stats["cmdstat_xrevrange"]["calls"] == 6
    assert stats["cmdstat_evalsha"]["calls"] - stats["cmdstat_evalsha"].get("failed_calls", 0) >= 6


def test_whatever_somebody_has_written_there_is_listed(client: Any) -> None:
    """Fields that are missing, and bytes that are no text."""
    client.xadd(DEAD_LETTERS, {"reason": b"\xff<script>"}, id="1-0")
    client.xadd(DEAD_LETTERS, {"other": ""}, id="2-0")
    latest = LatestLetters()
    look(client, latest)
    assert [letter.reason for letter in latest.letters] == ["", "\\xff<script>"]
