"""Old entries of a stream, removed from a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis

from settle_client.names import OUTCOMES
from tasks.retention import ENTRIES_PER_COUNT, ENTRIES_PER_STEP, AgedStream

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """Give an empty Redis."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def stream(client: Any) -> AgedStream:
    """Give the stream of outcomes, with entries 1-0 to 300-0."""
    fill(client, 300)
    return AgedStream(client, OUTCOMES)


def fill(client: Any, count: int) -> None:
    """Add entries whose ids are their numbers."""
    with client.pipeline(transaction=False) as pipe:
        for number in range(1, count + 1):
            pipe.xadd(OUTCOMES, {"outcome": "{}"}, id=f"{number}-0")
        pipe.execute()


def oldest(client: Any) -> str | None:
    """Return the id of the first entry."""
    entries = client.xrange(OUTCOMES, count=1)
    return entries[0][0] if entries else None


def read(client: Any, group: str, count: int, *, acknowledge: bool = True) -> None:
    """Read some as a member of a group."""
    ((_, entries),) = client.xreadgroup(group, "one", {OUTCOMES: ">"}, count=count)
    if acknowledge:
        client.xack(OUTCOMES, group, *(id_ for id_, _ in entries))


def test_what_is_older_goes_and_the_rest_stays(client: Any, stream: AgedStream) -> None:
    """To the entry, also where the server removes whole nodes; a second time there is nothing."""
    removal = stream.remove("251-0")
    assert (removal.removed, removal.left, removal.held_back) == (250, 50, {})
    assert oldest(client) == "251-0"
    assert stream.remove("251-0").removed == 0


def test_more_than_one_step_goes(client: Any) -> None:
    """And a dry run counts the same, and removes nothing."""
    count = ENTRIES_PER_STEP + ENTRIES_PER_COUNT + 50
    fill(client, count + 5)
    stream = AgedStream(client, OUTCOMES)
    foreseen = stream.remove(f"{count + 1}-0", dry_run=True)
    assert len(stream) == count + 5
    assert stream.remove(f"{count + 1}-0") == foreseen
    assert (foreseen.removed, foreseen.left) == (count, 5)


def test_a_stream_that_is_not_there_has_nothing_to_remove(client: Any) -> None:
    """And it is not made, nor is one that is empty spoiled."""
    stream = AgedStream(client, OUTCOMES)
    assert stream.remove("5-0") == stream.remove("5-0", dry_run=True)
    assert not client.exists(OUTCOMES)
    client.xgroup_create(OUTCOMES, "new", id="0", mkstream=True)
    assert stream.remove("5-0").removed == 0


def test_the_cutoff_is_an_age_before_the_servers_now(client: Any, stream: AgedStream) -> None:
    """What is published now is younger than an hour; no age reaches before time began."""
    now = client.xadd(OUTCOMES, {"outcome": "{}"})
    assert stream.remove(stream.cutoff(3_600_000)).removed == 300
    assert oldest(client) == now
    ages_ago = stream.cutoff(10**15)
    client.xgroup_create(OUTCOMES, "behind", id="0")
    assert stream.remove(ages_ago) == stream.remove(ages_ago, dry_run=True)
    assert (len(stream), oldest(client)) == (1, now)


@pytest.mark.parametrize("dry_run", [False, True], ids=["removed", "counted"])
def test_what_a_group_has_not_read_is_kept(client: Any, stream: AgedStream, dry_run: bool) -> None:
    """Of several groups the last in line decides; the ones that are done hold nothing back."""
    client.xgroup_create(OUTCOMES, "behind", id="0")
    client.xgroup_create(OUTCOMES, "farther", id="0")
    client.xgroup_create(OUTCOMES, "done", id="0")
    client.xgroup_create(OUTCOMES, "from-now-on", id="$")
    read(client, "behind", 200)
    read(client, "farther", 120)
    read(client, "done", 300)
    removal = stream.remove("251-0", dry_run=dry_run)
    assert removal.held_back == {"behind": "201-0", "farther": "121-0"}
    assert (removal.removed, removal.left) == (120, 180)
    assert oldest(client) == ("1-0" if dry_run else "121-0")


def test_what_a_group_has_not_acknowledged_is_kept(client: Any, stream: AgedStream) -> None:
    """Though it has read on; once acknowledged, it may go."""
    client.xgroup_create(OUTCOMES, "slow", id="0")
    read(client, "slow", 10)
    read(client, "slow", 1, acknowledge=False)
    read(client, "slow", 289)
    assert stream.remove("251-0").held_back == {"slow": "11-0"}
    assert oldest(client) == "11-0"
    client.xack(OUTCOMES, "slow", "11-0")
    assert stream.remove("251-0").held_back == {}
    assert oldest(client) == "251-0"


def test_ids_are_compared_as_numbers(client: Any) -> None:
    """What is pending comes before what is unread, though as a text it comes after it."""
    for sequence in (9, 10, 11):
        client.xadd(OUTCOMES, {"outcome": "{}"}, id=f"9-{sequence}")
    client.xgroup_create(OUTCOMES, "slow", id="0")
    read(client, "slow", 1, acknowledge=False)
    assert AgedStream(client, OUTCOMES).remove("10-0").held_back == {"slow": "9-9"}


def test_what_was_trimmed_while_pending_holds_nothing_back(client: Any, stream: AgedStream) -> None:
    """Nobody can read it any more."""
    client.xgroup_create(OUTCOMES, "gone", id="0")
    read(client, "gone", 20, acknowledge=False)
    client.xtrim(OUTCOMES, minid="21-0", approximate=False)
    assert stream.remove("21-0").held_back == {}
    removal = stream.remove("31-0")
    assert removal.held_back == {"gone": "21-0"}


def test_a_group_that_has_read_everything_old_holds_nothing_back(
    client: Any, stream: AgedStream
) -> None:
    """Though it is behind with what is newer, also where its lag is not known."""
    client.xgroup_create(OUTCOMES, "middle", id="250-0")
    assert stream.remove("251-0").held_back == {}


def test_force_removes_what_groups_need(client: Any, stream: AgedStream) -> None:
    """All that is older."""
    client.xgroup_create(OUTCOMES, "behind", id="0")
    read(client, "behind", 5, acknowledge=False)
    removal = stream.remove("251-0", force=True)
    assert (removal.removed, removal.held_back) == (250, {})
