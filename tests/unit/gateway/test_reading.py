"""Which server a list is read from, and what happens where a replica cannot answer."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from db import BadDataError, DatabaseError, NotAllowedError, TransientDatabaseError
from db.listing import Listed, Listing
from gateway.events import reading
from gateway.events.reading import ListReader

if TYPE_CHECKING:
    from collections.abc import Iterator

FROM_PRIMARY, FROM_REPLICA = Listed([], None), Listed([], None)


@contextmanager
def reader(
    monkeypatch: pytest.MonkeyPatch, *errors: DatabaseError, is_good: bool = True
) -> Iterator[ListReader]:
    """Give a reader whose replica fails in these ways, one after the other, and then answers."""
    database: Any = object()
    replica: Any = object()
    left = list(errors)

    def list_events(source: object, _: Listing) -> Listed:
        if source is database:
            return FROM_PRIMARY
        if left:
            raise left.pop(0)
        return FROM_REPLICA

    monkeypatch.setattr(reading, "list_events", list_events)
    reader = ListReader(database, replica, 10)
    assert reader.follower
    reader.follower.is_good = is_good
    try:
        yield reader
    finally:
        reader.close()


def lost() -> TransientDatabaseError:
    """Make the error of a connection that was lost."""
    error = TransientDatabaseError("57P01")
    error.connection_was_lost = True
    return error


def too_long() -> TransientDatabaseError:
    """Make the error of a list that took too long."""
    error = TransientDatabaseError("57014")
    error.took_too_long = True
    return error


@pytest.mark.parametrize(
    ("errors", "is_from_replica"),
    [
        pytest.param([], True, id="it answers"),
        pytest.param([lost()], True, id="a connection is lost once"),
        pytest.param([lost(), lost()], False, id="it is away"),
        pytest.param([TransientDatabaseError("40001")], False, id="it had to replay something"),
        pytest.param([NotAllowedError("42501")], False, id="a right is missing"),
        pytest.param([DatabaseError("42P01")], False, id="it is not migrated yet"),
    ],
)
def test_what_the_replica_cannot_answer_the_primary_does(
    errors: list[DatabaseError], is_from_replica: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and without a second try there but where a connection was lost."""
    with reader(monkeypatch, *errors) as lists:
        listed = asyncio.run(lists.read(Listing(1), None))
    assert listed is (FROM_REPLICA if is_from_replica else FROM_PRIMARY)


def test_a_replica_that_is_not_good_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before it was looked at for the first time."""
    with reader(monkeypatch, is_good=False) as lists:
        assert lists.place == "primary"
        assert asyncio.run(lists.read(Listing(1), None)) is FROM_PRIMARY


@pytest.mark.parametrize(
    "error", [too_long(), BadDataError("22008")], ids=["it takes too long", "a value is refused"]
)
def test_what_is_no_better_at_the_primary_is_not_asked_there(
    error: DatabaseError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that takes too long is what the replica is to keep away from it."""
    with reader(monkeypatch, error) as lists, pytest.raises(type(error)):
        asyncio.run(lists.read(Listing(1), None))
