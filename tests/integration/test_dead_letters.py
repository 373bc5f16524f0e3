"""The stream of dead letters on a real server: looked through, found, dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis

from settle_client.names import DEAD_LETTERS
from tasks.dead_letters import ENTRIES_PER_READ, DeadLetters, KeptLetter
from tasks.publishing import DeadLetter, OutcomePublisher

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """Give an empty Redis."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def letters(client: Any) -> DeadLetters:
    """Give the dead letters, of which there are none."""
    return DeadLetters(client)


def fill(client: Any, count: int) -> None:
    """Add letters whose ids are their numbers."""
    with client.pipeline(transaction=False) as pipe:
        for number in range(1, count + 1):
            pipe.xadd(DEAD_LETTERS, {"messageId": f"m{number}"}, id=f"{number}-0")
        pipe.execute()


def test_a_letter_is_read_as_it_was_written(client: Any, letters: DeadLetters) -> None:
    """With its reason, its time, how it came and what it was."""
    delivery = {"queue": "q", "deliveriesToDeadWorkers": 6}
    letter = DeadLetter("m1", "status: must be …", '{"id": "ev_1"}', delivery, 7)
    OutcomePublisher(client, stream_max_length=10).publish([], [letter])
    (kept,) = letters.all()
    assert (kept.message_id, kept.index, kept.reason, kept.raw) == (
        letter.message_id,
        letter.index,
        letter.reason,
        letter.raw,
    )
    assert (kept.delivery, kept.deliveries) == (delivery, 6)
    assert kept.time.endswith("Z")
    assert letters.find(kept.entry) == kept


def _index(client: Any, letters: DeadLetters, text: str) -> int | None:
    entry = client.xadd(DEAD_LETTERS, {"index": text})
    letter = letters.find(entry)
    assert letter
    return letter.index


def test_an_entry_of_somebody_elses_is_a_letter_without_contents(
    client: Any, letters: DeadLetters
) -> None:
    """What is missing is empty, and what makes no sense is too."""
    entry = client.xadd(DEAD_LETTERS, {"by": "hand"})
    assert letters.find(entry) == KeptLetter(entry, "", "", "", {}, "")
    assert [_index(client, letters, text) for text in ("", "-1", "x", "9" * 5_000)] == [None] * 4
    for delivery in ("no JSON", "[1]", '{"deliveriesToDeadWorkers": "7"}'):
        entry = client.xadd(DEAD_LETTERS, {"delivery": delivery})
        (kept,) = letters.newest(1)
        assert (kept.entry, kept.deliveries) == (entry, 0)


def test_the_newest_come_oldest_first(client: Any, letters: DeadLetters) -> None:
    """As many as were asked for."""
    fill(client, 5)
    assert [letter.message_id for letter in letters.newest(3)] == ["m3", "m4", "m5"]
    assert len(letters.newest(9)) == len(letters) == 5


@pytest.mark.parametrize("count", [0, 1, ENTRIES_PER_READ, 2 * ENTRIES_PER_READ + 1])
def test_all_are_read_in_order(client: Any, letters: DeadLetters, count: int) -> None:
    """However many reads that takes."""
    fill(client, count)
    expected = [f"m{number}" for number in range(1, count + 1)]
    assert [letter.message_id for letter in letters.all()] == expected


def test_what_comes_meanwhile_is_not_among_all(client: Any, letters: DeadLetters) -> None:
    """So that sending them again comes to an end, though each may die again."""
    fill(client, 3)
    seen = []
    for letter in letters.all():
        client.xadd(DEAD_LETTERS, {"messageId": "again"})
        seen.append(letter.message_id)
    assert seen == ["m1", "m2", "m3"]


def test_all_may_be_dropped_while_they_are_read(client: Any, letters: DeadLetters) -> None:
    """Reading ends where nothing is left."""
    fill(client, ENTRIES_PER_READ + 1)
    reading = letters.all()
    next(reading)
    client.delete(DEAD_LETTERS)
    assert len(list(reading)) == ENTRIES_PER_READ - 1


def test_letters_are_dropped_by_their_ids(client: Any, letters: DeadLetters) -> None:
    """Those that are there, and no others."""
    fill(client, 3)
    assert letters.drop(["1-0", "3-0", "9-0"]) == 2
    assert [letter.message_id for letter in letters.all()] == ["m2"]
    assert letters.drop(iter([])) == 0
    assert letters.find("1-0") is None


def test_what_is_left_of_a_letter_takes_its_place(client: Any, letters: DeadLetters) -> None:
    """As letters like any other; nothing left, it is gone."""
    fill(client, 2)
    first, second = letters.all()
    letters.replace(first, [DeadLetter("m1", "why", "{}", {"queue": "q"})])
    letters.replace(second, [])
    (kept,) = letters.all()
    assert (kept.message_id, kept.reason, kept.delivery) == ("m1", "why", {"queue": "q"})


def test_what_is_left_of_a_letter_is_kept_once(client: Any, letters: DeadLetters) -> None:
    """Of two who send it again at the same time; and not at all if it was dropped meanwhile."""
    fill(client, 2)
    first, second = letters.all()
    rest = [DeadLetter("m", f"why {number}", "{}", {}, number) for number in range(2)]
    for _ in range(2):
        letters.replace(first, rest)
    letters.drop([second.entry])
    letters.replace(second, rest)
    assert [(letter.reason, letter.index) for letter in letters.all()] == [
        ("why 0", 0),
        ("why 1", 1),
    ]
