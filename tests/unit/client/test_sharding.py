"""Which shard an update goes to, and what is said of several that could not send."""

from __future__ import annotations

import asyncio
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settle_client import AsyncShardedProducer, ShardedProducer, StatusUpdate, async_producer
from settle_client.errors import (
    AddressError,
    InvalidUpdateError,
    NotSentError,
    NotSentToShardsError,
)
from settle_client.sharding import Shards, raise_together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settle_client.envelope import Envelope

PAGE = Path(__file__).parents[3] / "docs" / "scaling.md"
VECTORS = re.findall(r"^\| `(\S+)` \| (\d+) \| \d \| \d \|$", PAGE.read_text(), re.MULTILINE)
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
        pytest.param({"redis://h", "redis://g"}, "a list of at least one", id="no-order"),
        pytest.param(["redis://h", "redis://h"], "one broker twice", id="twice"),
        pytest.param(["redis://h", "http://h"], "http", id="no-broker"),
    ],
)
def test_brokers_that_cannot_be_meant_are_refused(urls: Any, said: str) -> None:
    """At once, before anything is sent."""
    with pytest.raises(AddressError, match=said):
        ShardedProducer(urls)


def test_several_errors_are_one() -> None:
    """With the ids of all messages, what each shard has said, and the first cause that is known."""
    raise_together({0: "sent", 1: None})
    cause = ConnectionError("away")
    errors = {1: NotSentError(["c"], 1, cause), 0: NotSentError(["a", "b"], 1, None)}
    said = (
        "shard 0: 2 messages not confirmed within 1 s; "
        "shard 1: 1 message not confirmed within 1 s: away"
    )
    with pytest.raises(NotSentToShardsError, match=f"^{said}$") as caught:
        raise_together(errors, {"d": ["ev_1"]})
    assert caught.value.message_ids == ("a", "b", "c")
    assert caught.value.__cause__ is cause
    assert caught.value.sent == {"d": ["ev_1"]}
    with pytest.raises(KeyboardInterrupt):
        raise_together({0: NotSentError(["a"], 1, None), 1: KeyboardInterrupt()})


def test_updates_may_be_generated() -> None:
    """They are gone through more than once, and all of them are there each time."""
    updates = completed("a", "b")
    assert Shards(1).split(update for update in updates) == {0: updates}
    with pytest.raises(InvalidUpdateError, match="at least one"):
        Shards(1).split(iter(()))


@pytest.mark.parametrize("number", [1.0, "1", None], ids=repr)
def test_a_choice_that_is_no_number_is_refused(number: Any) -> None:
    """Before a part of a message is on its way to another shard."""
    with pytest.raises(TypeError, match="integer"):
        Shards(2, lambda _: number).split(completed("a"))


@pytest.mark.parametrize(
    ("id_", "number"), VECTORS, ids=[id_.encode("unicode_escape").decode() for id_, _ in VECTORS]
)
def test_the_page_says_which_number_an_id_has(id_: str, number: str) -> None:
    """For producers in other languages to check theirs by."""
    assert zlib.crc32(id_.encode()) == int(number)
    assert Shards(4).of(completed(id_)[0]) == int(number) % 4


class Broker:
    """Takes messages, or none for ever."""

    def __init__(self, is_away: bool) -> None:
        self.is_away, self.ids, self.has_two = is_away, list[str](), asyncio.Event()

    async def push(self, envelopes: Sequence[Envelope]) -> None:
        """Take some, or be away."""
        if self.is_away:
            raise ConnectionError("the broker is away")
        self.ids += [envelope.message_id for envelope in envelopes]
        if len(self.ids) > 1:
            self.has_two.set()

    async def close(self) -> None:
        """Nothing to close."""


def test_what_is_sent_together_may_be_cancelled_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that had room sends its part; a task behind a shield says so in the end."""
    brokers = {"there": Broker(is_away=False), "away": Broker(is_away=True)}
    monkeypatch.setattr(async_producer, "make_async_queue", lambda url, **_: brokers[url])

    async def shield(task: asyncio.Task[Any]) -> None:
        await asyncio.shield(task)

    async def scenario() -> tuple[list[str], dict[str, list[str]]]:
        async with AsyncShardedProducer(
            ["there", "away"], shard_of=lambda update: int(update.id == "b"), max_unsent_updates=1
        ) as producer:
            await producer.send({"id": "b", "status": "completed"})
            cancelled = asyncio.create_task(producer.send_together(completed("a", "b")))
            kept = asyncio.create_task(producer.send_together(completed("a", "b")))
            shielded = asyncio.create_task(shield(kept))
            await brokers["there"].has_two.wait()
            cancelled.cancel()
            shielded.cancel()
            await asyncio.wait([cancelled, shielded])
            assert (cancelled.cancelled(), shielded.cancelled()) == (True, True)
            brokers["away"].is_away = False
            sent = await kept
            await producer.flush()
            return brokers["away"].ids, sent

    of_the_other, sent = asyncio.run(scenario())
    first, second = brokers["there"].ids
    assert list(sent) == [second, of_the_other[-1]]
    assert first not in sent
    assert len(of_the_other) == 2
