"""What makes something fail for many is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.isolating import forget_frames, isolate

if TYPE_CHECKING:
    from collections.abc import Sequence


class Away(Exception):  # noqa: N818 - nobody else sees it
    """A server does not answer."""


class Bench:
    """Does something with numbers, all at once, unless a bad one is among them."""

    def __init__(self, bad: set[int]) -> None:
        self.bad, self.attempts = bad, 0

    def attempt(self, numbers: Sequence[int]) -> list[int]:
        """Do it."""
        self.attempts += 1
        if found := self.bad & set(numbers):
            raise ValueError(sorted(found))
        return list(numbers)


def test_what_works_at_once_is_done_at_once() -> None:
    """Once."""
    bench = Bench(set())
    assert isolate(range(1_000), bench.attempt, passing=(Away,)) == ([[*range(1_000)]], [])
    assert bench.attempts == 1


def test_one_among_a_thousand_is_found_in_a_few_attempts() -> None:
    """By halving."""
    bench = Bench({700})
    parts, ((found, error),) = isolate(range(1_000), bench.attempt, passing=(Away,))
    assert (found, str(error)) == (700, "[700]")
    assert [number for part in parts for number in part] == [*range(700), *range(701, 1_000)]
    assert bench.attempts < 25


@given(st.sets(st.integers(0, 30)), st.integers(0, 30))
def test_exactly_what_fails_is_found(bad: set[int], count: int) -> None:
    """Everything else is in one attempt that worked, and all of it in order."""
    parts, failed = isolate(range(count), Bench(bad).attempt, passing=(Away,))
    assert [number for number, _ in failed] == [n for n in range(count) if n in bad]
    assert [n for part in parts for n in part] == [n for n in range(count) if n not in bad]


def test_a_check_that_raises_ends_it() -> None:
    """Before anything is halved, and only where something failed."""
    bench = Bench({3})

    def check() -> None:
        raise Away

    assert isolate([1, 2], bench.attempt, passing=(), check=check) == ([[1, 2]], [])
    with pytest.raises(Away):
        isolate(range(10), bench.attempt, passing=(), check=check)
    assert bench.attempts == 2


def test_errors_hold_on_to_nothing() -> None:
    """What is found may be a thousand errors, and cycles are seldom looked for."""
    errors = []

    def attempt(numbers: Sequence[int]) -> None:
        try:
            int("")
        except ValueError as error:
            errors.append(error)
            raise KeyError(*numbers) from error

    _, failed = isolate(range(4), attempt, passing=(Away,))
    for _, error in failed:
        forget_frames(error)
    assert len(errors) == 7
    assert not any(error.__traceback__ for error in errors)


def test_what_is_mended_meanwhile_was_not_the_items_fault() -> None:
    """What failed before anything worked is tried once more."""
    mended_after = 20

    class Mended(Bench):
        def attempt(self, numbers: Sequence[int]) -> list[int]:
            if self.attempts < mended_after:
                self.bad = set(numbers)
            elif self.attempts == mended_after:
                self.bad = {0}
            return super().attempt(numbers)

    parts, ((found, _),) = isolate(range(100), Mended(set()).attempt, passing=(Away,))
    assert found == 0
    assert sorted(number for part in parts for number in part) == [*range(1, 100)]


def test_what_is_nobodys_fault_ends_it() -> None:
    """Nothing is tried for each item while a server is away."""
    attempts = []

    def attempt(numbers: Sequence[int]) -> None:
        attempts.append(len(numbers))
        if len(numbers) > 5:
            raise ValueError
        raise Away

    with pytest.raises(Away):
        isolate(range(10), attempt, passing=(Away,))
    assert attempts == [10, 5]
