"""Acknowledging many deliveries of AMQP at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.transport.rabbitmq.outstanding import Outstanding


def of(*tags: int) -> Outstanding:
    """Return some deliveries."""
    outstanding = Outstanding()
    for tag in tags:
        outstanding.add(tag)
    return outstanding


def test_the_oldest_are_acknowledged_at_once() -> None:
    """A batch that is done in its turn is one frame."""
    outstanding = of(*range(1, 1001))
    assert outstanding.done(range(1, 501)) == [(500, True)]
    assert outstanding.done(range(501, 1001)) == [(1000, True)]


def test_what_is_done_out_of_turn_is_acknowledged_by_itself() -> None:
    """For something before it is not done."""
    outstanding = of(1, 2, 3, 4, 5)
    assert outstanding.done([3, 4]) == [(3, False), (4, False)]
    assert outstanding.done([1, 2, 5]) == [(5, True)]


def test_one_alone_is_one() -> None:
    """Not all that came before, of which there is nothing."""
    assert of(1, 2).done([1]) == [(1, False)]


def test_what_was_answered_otherwise_does_not_matter() -> None:
    """It is not acknowledged twice, which would close the channel, and holds nothing up."""
    outstanding = of(1, 2, 3)
    outstanding.forget([1])
    assert outstanding.done([1, 2]) == [(2, False)]
    assert outstanding.done([2]) == []


@given(st.lists(st.tuples(st.booleans(), st.sets(st.integers(1, 30)))))
def test_exactly_what_is_done_is_acknowledged(steps: list[tuple[bool, set[int]]]) -> None:
    """As a broker understands the frames, in any order of deliveries and answers."""
    outstanding, unacknowledged, delivered = Outstanding(), set[int](), 0
    for more, tags in steps:
        if more:
            for tag in range(delivered + 1, delivered + 6):
                outstanding.add(tag)
                unacknowledged.add(tag)
            delivered += 5
        expected = unacknowledged - tags
        for tag, multiple in outstanding.done(tags):
            assert tag in unacknowledged
            unacknowledged -= {t for t in unacknowledged if t <= tag} if multiple else {tag}
        assert unacknowledged == expected


def test_what_was_never_accounted_for_is_never_acknowledged() -> None:
    """A delivery that was not taken in stays the broker's, whatever is done around it."""
    outstanding = of(1, 2, 4, 5)
    assert outstanding.done([1, 2]) == [(2, True)]
    assert outstanding.done([4, 5]) == [(4, False), (5, False)]
