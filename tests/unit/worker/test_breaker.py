"""When too many messages are rubbish."""

from __future__ import annotations

import pytest

from worker.batching.breaker import FEWEST, LATEST, Breaker


def tripped_at(breaker: Breaker, shares: list[float]) -> int | None:
    """Return at which message it was too much, None if at none."""
    return next((n for n, share in enumerate(shares, 1) if breaker.note([share])), None)


def test_a_few_bad_messages_are_not_too_much() -> None:
    """However many they are among few."""
    assert tripped_at(Breaker(0.5), [1.0] * (FEWEST - 1)) is None


def test_a_queue_of_rubbish_is() -> None:
    """As soon as there is enough to judge by."""
    assert tripped_at(Breaker(0.5), [1.0] * LATEST) == FEWEST


def test_only_the_latest_count() -> None:
    """A producer that goes wrong is found out though it did well for long."""
    assert tripped_at(Breaker(0.5), [0.0] * 100_000 + [1.0] * LATEST) == 100_000 + LATEST // 2 + 1


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5])
def test_what_is_allowed_for_is_not_too_much(share: float) -> None:
    """Also when every message carries some of it."""
    assert tripped_at(Breaker(0.5), [share] * LATEST) is None


def test_nothing_is_too_much_where_all_is_allowed() -> None:
    """One turns it off."""
    assert tripped_at(Breaker(1), [1.0] * LATEST * 2) is None


def test_it_stays_tripped() -> None:
    """What was on its way is too much, too, if it is not valid."""
    breaker = Breaker(0.5)
    assert tripped_at(breaker, [1.0] * FEWEST) == FEWEST
    breaker.trip()
    assert not breaker.note([0.0])
    assert breaker.note([0.0, 1.0])


def test_it_lets_through_what_it_tripped_at_when_somebody_says_so() -> None:
    """Which lies first in the queue; then it judges as before."""
    breaker = Breaker(0.5)
    tripped_at(breaker, [1.0] * FEWEST)
    breaker.trip()
    breaker.resume()
    assert breaker.share == 0
    assert tripped_at(breaker, [1.0] * 2 * LATEST) == LATEST + FEWEST
