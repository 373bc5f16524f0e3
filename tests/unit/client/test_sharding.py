"""Which shard an update goes to, and what is said of several that could not send."""

from __future__ import annotations

import re
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settle_client import ShardedProducer, StatusUpdate
from settle_client.errors import AddressError, InvalidUpdateError, NotSentError
from settle_client.sharding import Shards, raise_together

IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)


def completed(*ids: str) -> list[StatusUpdate]:
    """Make updates."""
    return [StatusUpdate(id_, "completed") for id_ in ids]


@given(st.lists(IDS, min_size=1, max_size=50), st.integers(1, 9))
def test_every_update_goes_to_the_shard_of_its_event(ids: list[str], count: int) -> None:
    """All of them, in order, and to the one that any language finds by zlib's CRC-32."""
    parts = Shards(count).split(completed(*ids))
    for number, part in parts.items():
        expected = [id_ for id_ in ids if zlib.crc32(id_.encode()) % count == number]
        assert [update.id for update in part] == expected
    assert sum(map(len, parts.values())) == len(ids)


def test_the_shards_of_many_events_are_alike() -> None:
    """None has twice what another has."""
    parts = Shards(4).split(completed(*[f"ev_{number:07}" for number in range(10_000)]))
    sizes = sorted(map(len, parts.values()))
    assert sizes[0] * 1.2 > sizes[-1]


def test_a_caller_may_choose() -> None:
    """By the account, say, as whoever inserts the events does."""
    shards = Shards(2, lambda update: int(update.account_id == "acct_2"))
    of_1 = StatusUpdate("a", "failed", "acct_1")
    of_2 = StatusUpdate("a", "failed", "acct_2")
    assert shards.split([of_2, of_1]) == {1: [of_2], 0: [of_1]}
    assert shards.of({"id": "a", "status": "failed", "accountId": "acct_2"}) == 1


@pytest.mark.parametrize("number", [-1, 2])
def test_a_shard_that_there_is_not_cannot_be_chosen(number: int) -> None:
    """Python would take the last one for -1."""
    with pytest.raises(IndexError, match=re.escape(f"shard {number} was chosen of 2, which begin")):
        Shards(2, lambda _: number).of(completed("a")[0])


def test_an_update_that_is_not_valid_names_its_field() -> None:
    """And its place, where there are several."""
    wrong = {"id": "a", "status": "done"}
    with pytest.raises(InvalidUpdateError, match=r"^status: must be"):
        Shards(2).of(wrong)
    with pytest.raises(InvalidUpdateError, match=r"^\[1\]\.status: must be"):
        Shards(2).split([{"id": "b", "status": "failed"}, wrong])
    with pytest.raises(InvalidUpdateError, match="at least one"):
        Shards(2).split([])


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        pytest.param([], "a list of at least one", id="none"),
        pytest.param("redis://h", "a list of at least one", id="no-list"),
        pytest.param(["redis://h", "redis://h"], "one broker twice", id="twice"),
        pytest.param(["redis://h", "http://h"], "http", id="no-broker"),
    ],
)
def test_brokers_that_cannot_be_meant_are_refused(urls: Any, said: str) -> None:
    """At once, before anything is sent."""
    with pytest.raises(AddressError, match=said):
        ShardedProducer(urls)


def test_several_errors_are_one() -> None:
    """With the ids of all messages, and the first reason that is known."""
    raise_together([], 1)
    cause = ConnectionError("away")
    with pytest.raises(NotSentError, match="3 messages not confirmed within 1 s: away") as caught:
        raise_together([NotSentError(["a", "b"], 1, cause), NotSentError(["c"], 1, None)], 1)
    assert caught.value.message_ids == ("a", "b", "c")
    with pytest.raises(KeyboardInterrupt):
        raise_together([NotSentError(["a"], 1, None), KeyboardInterrupt()], 1)
