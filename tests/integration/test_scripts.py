"""The scripts of the transport on a real server, one at a time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
import redis

from worker.transport.delivery import MAX_ITEM_BYTES
from worker.transport.redis.scripts import (
    EXPIRED,
    FETCH,
    LOOK_UP,
    MORE,
    MOVE,
    NOTE,
    NOTHING,
    RENEW,
)
from worker.understanding.other import KEPT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNACKED, INDEX, WORKED_ON = "unacked", "unacked_index", "worked_on"
RECORDED, UNRECORDED = ',"","q"]', ""
MEBIBYTE = 2**20


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """Give an empty Redis."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


def fetch(client: Any, *, limit: int = 1_000, tail: str = RECORDED) -> tuple[int, list[bytes]]:
    """Fetch from one list, and return what is left and the items."""
    state, *came = client.eval(FETCH.text, 3, UNACKED, INDEX, "q", limit, "tag-", 0, 0, tail)
    return state, [item for items in came[1::3] for item in items]


def expired(client: Any, *, most: int = 100) -> list[list[Any]]:
    """Return what waited and what was worked on, of what nobody has held for a minute."""
    found: list[list[Any]] = client.eval(EXPIRED.text, 3, UNACKED, INDEX, WORKED_ON, 60, most)
    return found


def note(client: Any, *begun: str, over: Sequence[str] = ()) -> None:
    """Note what is worked on."""
    client.eval(NOTE.text, 1, WORKED_ON, len(over), *over, *begun)


@pytest.mark.parametrize("key", [UNACKED, INDEX])
def test_what_cannot_be_recorded_is_not_taken(client: Any, key: str) -> None:
    """Where somebody else has the key, the messages stay where they are."""
    client.rpush("q", "one")
    client.set(key, "somebody else's")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        fetch(client)
    assert client.lrange("q", 0, -1) == [b"one"]


def test_nothing_is_taken_where_one_of_the_lists_is_none(client: Any) -> None:
    """What were taken from the others would be held, and nobody know of it."""
    client.rpush("q", "one")
    client.set("q3", "somebody else's")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.eval(FETCH.text, 4, UNACKED, INDEX, "q", "q3", 9, "tag-", 0, 0, RECORDED, RECORDED)
    assert client.lrange("q", 0, -1) == [b"one"]
    assert not client.exists(UNACKED, INDEX)


def test_what_nobody_will_acknowledge_is_taken_one_by_one(client: Any) -> None:
    """With the worker no more than that one can be lost."""
    client.rpush("q", "third", "second", "first")
    assert fetch(client, tail=UNRECORDED) == (MORE, [b"first"])
    assert not client.exists(UNACKED, INDEX)


def test_a_mebibyte_ends_a_fetch(client: Any) -> None:
    """Whatever is small before what is large: a thousand bulk messages do not come at once."""
    client.rpush("q", *["x" * (MEBIBYTE // 4)] * 480, *["small"] * 520)
    state, items = fetch(client)
    assert state == MORE
    assert len(items) == 523
    assert sum(map(len, items)) <= MEBIBYTE
    assert client.hlen(UNACKED) == client.zcard(INDEX) == len(items)
    assert client.llen("q") == 1_000 - len(items)


def test_what_is_larger_than_a_fetch_comes_alone(client: Any) -> None:
    """It comes, and nothing with it."""
    large = b"x" * (2 * MEBIBYTE)
    client.rpush("q", "small", large, large)
    assert fetch(client) == (MORE, [large])
    assert fetch(client) == (MORE, [large])
    assert fetch(client) == (NOTHING, [b"small"])


@pytest.mark.parametrize("tail", [RECORDED, UNRECORDED], ids=["recorded", "not recorded"])
def test_of_what_is_no_message_the_beginning_comes(client: Any, tail: str) -> None:
    """A worker only has to say how large it is; what nobody acknowledges is nobody's to cut."""
    for size in (MAX_ITEM_BYTES, MAX_ITEM_BYTES + 1):
        client.rpush("q", b"x" * size)
        reply = client.eval(FETCH.text, 3, UNACKED, INDEX, "q", 1, "tag-", 0, 0, tail)
        whole = size == MAX_ITEM_BYTES or tail == UNRECORDED
        assert reply[3] == ([] if whole else [1, size])
        kept = size if whole else KEPT_BYTES
        assert [len(item) for item in reply[2]] == [kept]
        if tail == RECORDED:
            assert client.hstrlen(UNACKED, "tag-1") == kept + len(f"[{RECORDED}")


def test_a_fetch_ends_with_its_list(client: Any) -> None:
    """And says that nothing is left."""
    client.rpush("q", "second", "first")
    assert fetch(client) == (NOTHING, [b"first", b"second"])
    assert fetch(client) == (NOTHING, [])


def hold(client: Any, tag: str, score: float = 1.0) -> None:
    """Record an entry as a worker that fetched it."""
    client.hset(UNACKED, tag, f"entry of {tag}")
    client.zadd(INDEX, {tag: score})


def move(client: Any, tag: str, *lists: str, seen: str = "", score: bytes = b"1") -> int:
    """Move an entry as it was seen."""
    sha = hashlib.sha1((seen or f"entry of {tag}").encode(), usedforsecurity=False).hexdigest()
    numbers = range(1, len(lists) + 1)
    keys = (UNACKED, INDEX, *lists)
    moved: int = client.eval(
        MOVE.text, len(keys), *keys, tag, score, sha, "item", len(lists), *numbers
    )
    return moved


def test_an_entry_moves_to_all_of_its_lists(client: Any) -> None:
    """A message of an exchange may go back to several queues; then nobody holds it."""
    hold(client, "one")
    assert move(client, "one", "a", "b") == 1
    assert [client.lrange(name, 0, -1) for name in ("a", "b")] == [[b"item"]] * 2
    assert not client.exists(UNACKED, INDEX)


@pytest.mark.parametrize(
    "changed",
    [{"seen": "another worker's entry"}, {"score": b"2"}],
    ids=["another entry", "a new lease"],
)
def test_an_entry_that_is_not_as_it_was_seen_stays(client: Any, changed: Any) -> None:
    """Somebody else has it, or works on it still."""
    hold(client, "one")
    assert move(client, "one", "a", **changed) == 0
    assert client.hexists(UNACKED, "one")
    assert client.zscore(INDEX, "one") == 1
    assert not client.exists("a")


@pytest.mark.parametrize("lists", [("a", "strange"), ("strange", "a")], ids=["last", "first"])
def test_an_entry_that_a_list_does_not_take_stays_held(client: Any, lists: Any) -> None:
    """It may come twice; it is not lost."""
    hold(client, "one")
    client.set("strange", "not a list")
    assert move(client, "one", *lists) == 0
    assert client.hexists(UNACKED, "one")
    assert client.zscore(INDEX, "one") == 1


def test_only_what_is_held_is_renewed(client: Any) -> None:
    """What was acknowledged meanwhile is not brought back; the order stays that of the tags."""
    hold(client, "second")
    hold(client, "first")
    assert client.eval(RENEW.text, 1, INDEX, "first", "acknowledged", "second") == 2
    assert client.zrange(INDEX, 0, -1) == [b"first", b"second"]
    assert client.zscore(INDEX, "first") > 1
    assert client.zscore(INDEX, "first") < client.zscore(INDEX, "second")


def test_the_newest_of_what_nobody_holds_is_found_first(client: Any) -> None:
    """So many at once; what is held by a living worker is not among it."""
    seconds, _ = client.time()
    for number in range(1, 4):
        hold(client, f"dead-{number}", number)
    hold(client, "living", seconds)
    found = [b"dead-3", b"3", b"entry of dead-3", b"dead-2", b"2", b"entry of dead-2"]
    assert expired(client, most=2) == [found, []]


def test_what_was_worked_on_is_told_from_what_waited(client: Any) -> None:
    """By the spans that are noted; what else is noted there says nothing."""
    for number in range(1, 13):
        hold(client, f"a-{number}", number)
    hold(client, "odd", 13)
    hold(client, "b-5", 14)
    note(client, "a-9:10", "a-2:2", "b-6:9", "nonsense", "b-1:4")
    waited, worked_on = expired(client)
    assert worked_on[::3] == [b"a-10", b"a-9", b"a-2"]
    others = [b"a-12", b"a-11", *(b"a-%d" % number for number in range(8, 2, -1)), b"a-1"]
    assert waited[::3] == [b"b-5", b"odd", *others]


def test_a_note_is_kept_for_as_long_as_anything_may_come_back(client: Any) -> None:
    """It goes when no lease has ended, if its own ended long ago."""
    seconds, _ = client.time()
    hold(client, "a-1", 1)
    client.zadd(WORKED_ON, {"a-1:1": 1, "b-1:9": seconds - 90, "c-1:9": seconds - 150})
    expired(client)
    assert client.zcard(WORKED_ON) == 3
    client.zrem(INDEX, "a-1")
    assert expired(client) == [[], []]
    assert client.zrange(WORKED_ON, 0, -1) == [b"b-1:9"]


def test_what_is_begun_is_noted_and_what_is_over_is_not(client: Any) -> None:
    """Both in one step; what is noted has a lease, too, which is renewed if it is still there."""
    seconds, _ = client.time()
    note(client, "a-1:9", "b-1:1", "b-2:3")
    note(client, "b-1:1", over=["b-1:1", "b-2:3", "unknown"])
    assert client.zrange(WORKED_ON, 0, -1) == [b"a-1:9", b"b-1:1"]
    client.zadd(WORKED_ON, {"a-1:9": 1})
    assert client.eval(RENEW.text, 1, WORKED_ON, "a-1:9", "gone-1:1") == 1
    assert client.zscore(WORKED_ON, "a-1:9") >= seconds
    assert client.zcard(WORKED_ON) == 2


def test_only_what_is_recorded_is_looked_up(client: Any) -> None:
    """With its score, and without an entry where that is gone."""
    hold(client, "one")
    client.zadd(INDEX, {"orphan": 2})
    reply = client.eval(LOOK_UP.text, 2, UNACKED, INDEX, "one", "unknown", "orphan")
    assert reply == [b"one", b"1", b"entry of one", b"orphan", b"2", None]
