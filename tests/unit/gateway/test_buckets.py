"""Buckets that fill up steadily: what may be taken, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from gateway.access import buckets
from gateway.access.buckets import Buckets, Claim, empty_seconds, left_in

if TYPE_CHECKING:
    import pytest

NOW = 1_000.0


def test_a_bucket_holds_a_seconds_worth_and_fills_up_steadily() -> None:
    """Four at once, then one each quarter of a second."""
    own, one = Buckets(), [Claim("a", 4, 1)]
    lefts = [left_in(one[0], own.take(one, NOW).missing_seconds[0]) for _ in range(4)]
    assert lefts == [3, 2, 1, 0]
    assert not own.take(one, NOW).is_taken
    assert not own.take(one, NOW + 0.24).is_taken
    assert own.take(one, NOW + 0.25).is_taken
    assert not own.take(one, NOW + 0.25).is_taken
    assert left_in(one[0], own.take(one, NOW + 60).missing_seconds[0]) == 3


def test_more_than_is_left_is_owed() -> None:
    """A request of any size is served, and paid back before the next is."""
    own, large, small = Buckets(), [Claim("a", 100, 1_000)], [Claim("a", 100, 1)]
    assert own.take(large, NOW).is_taken
    refused = own.take(small, NOW + 8.99)
    assert not refused.is_taken
    assert left_in(small[0], refused.missing_seconds[0]) == 0
    wait_seconds = empty_seconds(small[0], refused.missing_seconds[0])
    assert own.take(small, NOW + 8.99 + wait_seconds).is_taken


def test_nothing_is_taken_where_one_bucket_is_empty() -> None:
    """Or a request that is refused would cost what it did not get."""
    own, a, b = Buckets(), Claim("a", 2, 1), Claim("b", 1, 1)
    assert own.take([b], NOW).is_taken
    assert own.take([a, b], NOW) == (False, [0, 1])
    assert own.take([a], NOW).missing_seconds == [0.5]


def test_buckets_are_apart() -> None:
    """One that is empty says nothing of another."""
    own = Buckets()
    assert own.take([Claim("a", 1, 5)], NOW).is_taken
    assert own.take([Claim("b", 1, 1)], NOW).is_taken


def test_only_buckets_that_are_full_are_forgotten() -> None:
    """However many accounts are named, what one owes stays."""
    own = Buckets()
    own.take([Claim("owes", 1, 10_000_000)], NOW)
    for number in range(2 * buckets.MANY):
        own.take([Claim(str(number), 1, 1)], NOW + number)
    assert not own.take([Claim("owes", 1, 1)], NOW + 2 * buckets.MANY).is_taken
    assert len(own._full_at) <= buckets.MANY + 1


def test_many_that_owe_are_not_looked_through_by_each_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But when twice as many are there as were left the last time."""
    monkeypatch.setattr(buckets, "MANY", 100)
    own = Buckets()
    looked, known = 0, own._full_at
    for number in range(4 * buckets.MANY):
        own.take([Claim(str(number), 1, 10_000_000)], NOW)
        looked, known = looked + (own._full_at is not known), own._full_at
    assert len(own._full_at) == 4 * buckets.MANY
    assert looked == 2


@given(
    st.integers(1, 1_000),
    st.lists(st.tuples(st.integers(1, 50), st.floats(0, 0.2)), min_size=1, max_size=60),
)
def test_nobody_has_more_than_the_rate(rate: int, tries: list[tuple[int, float]]) -> None:
    """But for a second's worth at first, and what one request is larger than what is left."""
    own, now, taken = Buckets(), NOW, 0
    for amount, pause in tries:
        now += pause
        is_taken, (missing,) = own.take([Claim("a", rate, amount)], now)
        assert is_taken or empty_seconds(Claim("a", rate, amount), missing) > 0
        before, taken = taken, taken + is_taken * amount
        assert not is_taken or before <= rate * (1 + now - NOW) + 0.01
