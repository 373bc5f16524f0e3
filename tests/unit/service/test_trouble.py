"""When trouble is worth a line in the log."""

from __future__ import annotations

from service.trouble import SAY_AGAIN_AFTER_SECONDS, Trouble


def test_it_is_said_once() -> None:
    """Not at every try."""
    trouble = Trouble()
    assert [trouble.note("away", now) for now in range(5)] == [True, False, False, False, False]


def test_it_is_said_again_now_and_then() -> None:
    """For whoever looks at the end of the log only."""
    trouble = Trouble()
    said = [now for now in range(200) if trouble.note("away", now)]
    assert said == [0, SAY_AGAIN_AFTER_SECONDS, 2 * SAY_AGAIN_AFTER_SECONDS, 3 * 60]


def test_other_trouble_is_news() -> None:
    """And lasts since the first began."""
    trouble = Trouble()
    assert trouble.note("the database", 0)
    assert trouble.note("Redis", 1)
    assert trouble.over(5) == 5
    assert trouble.tries == 2


def test_it_is_over_once() -> None:
    """And may begin again."""
    trouble = Trouble()
    assert trouble.over(0) is None
    trouble.note("away", 1)
    assert trouble.over(3) == 2
    assert trouble.over(4) is None
    assert trouble.note("away", 5)
