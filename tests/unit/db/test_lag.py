"""By how much a replica is behind at most."""

from __future__ import annotations

import math

from db.lag import Lag


def followed(*notes: tuple[float, int], most_seconds: float = 10) -> Lag:
    """Note how far the primary was, of a replica that has nothing yet."""
    lag = Lag(most_seconds)
    for asked, written in notes:
        assert lag.note(0, written, asked)
    return lag


def test_what_a_replica_has_replayed_was_written_at_some_time() -> None:
    """It shows all that was committed when the primary was last noted to be no further."""
    lag = followed((100.0, 10), (101.0, 20), (102.0, 30))
    seconds = {replayed: lag.seconds(replayed, 102.5) for replayed in (10, 19, 20, 30, 31)}
    assert seconds == {10: 2.5, 19: 2.5, 20: 1.5, 30: 0.5, 31: 0.5}


def test_a_primary_that_writes_nothing_makes_no_replica_old() -> None:
    """What is replayed is what there is, for however long."""
    assert followed((100.0, 10), (101.0, 10), (102.0, 10)).seconds(10, 102.0) == 0


def test_a_replica_that_has_all_of_it_is_one_of_its_primary() -> None:
    """It shows what is there now."""
    lag = followed((100.0, 10))
    assert lag.note(10, 10, 101.0)
    assert lag.seconds(10, 101.0) == 0


def test_what_is_just_as_old_as_may_be_is_of_interest_still() -> None:
    """And of none a moment later."""
    assert followed((100.0, 10), (110.0, 20)).seconds(10, 110.0) == 10


def test_nobody_knows_how_old_something_is_before_the_first_note() -> None:
    """Nor how old one is that has less than was written when it was of interest."""
    assert Lag(10).seconds(10, 100.0) == math.inf
    assert followed((100.0, 10), (101.0, 20)).seconds(9, 101.0) == math.inf
    assert followed((100.0, 10), (111.0, 20)).seconds(10, 111.0) == math.inf


def test_a_primary_that_is_away_lets_a_replica_grow_older() -> None:
    """Nothing is noted meanwhile."""
    assert followed((100.0, 10)).seconds(10, 130.0) == 30


def test_a_replica_that_is_ahead_follows_another() -> None:
    """Also when the primary has passed it by: its log is not the one that was replayed."""
    lag = followed((100.0, 10))
    assert not lag.note(50, 40, 101.0)
    assert lag.seconds(50, 101.0) == math.inf
    assert lag.note(50, 60, 102.0)
    assert lag.seconds(50, 102.0) == math.inf
    assert lag.seconds(60, 102.5) == 0.5


def test_after_a_failover_the_primary_may_be_less_far() -> None:
    """What the former had written, and lost, says only that nothing is known to be younger."""
    lag = followed((100.0, 90), (101.0, 100), (102.0, 80))
    assert lag.seconds(80, 102.0) == 0
    assert lag.seconds(79, 102.0) == math.inf
