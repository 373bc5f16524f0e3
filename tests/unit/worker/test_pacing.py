"""How many messages leave under a rate limit."""

from __future__ import annotations

import pytest

from worker.batching.pacing import Pacing


@pytest.mark.parametrize("per_second", [0.5, 1.0, 7.5, 1_000.0])
def test_no_more_leave_than_the_limit_allows(per_second: float) -> None:
    """However often somebody asks, over a minute."""
    pacing, now, left = Pacing(), 0.0, 0
    while now < 60:
        if not pacing.wait_seconds(now):
            most = pacing.most(per_second)
            pacing.spend(most, per_second, now)
            left += most
        now += 0.01
    assert left <= 60 * per_second + pacing.most(per_second)
    assert left >= 0.9 * 60 * per_second


def test_nothing_waits_that_was_not_spent() -> None:
    """A pause of the producers is no debt, and no credit."""
    pacing = Pacing()
    pacing.spend(10, 10.0, 0.0)
    assert pacing.wait_seconds(0.5) == 0.5
    assert pacing.wait_seconds(100.0) == 0.0
    pacing.spend(10, 10.0, 100.0)
    assert pacing.wait_seconds(100.0) == 1.0
