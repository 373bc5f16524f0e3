"""Positions in the stream, and what a stream still has behind one."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.outcomes.positions import BEGINNING, Extent, Position


def at(text: str) -> Position:
    """Read a position."""
    return Position.parse(text)


def stream(first: str | None, last: str, length: int, added: int | None) -> Extent:
    """Return how far a stream reaches, from what Redis says of it."""
    said: dict[str, Any] = {
        "first-entry": first and (first, {"outcome": "{}"}),
        "last-generated-id": last,
        "length": length,
    }
    return Extent.of(said if added is None else said | {"entries-added": added})


@pytest.mark.parametrize("text", ["0-0", "1764147600000-0", "1-9999999999999999999"])
def test_a_position_is_written_as_it_was_read(text: str) -> None:
    """As Redis does."""
    assert str(at(text)) == text


@pytest.mark.parametrize(
    "text", ["", "1", "-", "1-", "a-1", "1-1-1", " 1-1", "1-1\n", "\u0661-1", "-1-1"]
)
def test_what_is_no_position_is_refused(text: str) -> None:
    """Redis would take some of it, and mean something else."""
    with pytest.raises(ValueError, match="no position: "):
        at(text)


def test_positions_are_in_the_order_of_their_numbers() -> None:
    """Not of their digits; before the first there is none."""
    assert at("9-9") < at("9-10") < at("10-0")
    assert at("5-1").before() == at("5-0")
    assert at("4-7") < at("5-0").before() < at("5-0")
    assert BEGINNING.before() == BEGINNING


FULL = stream("10-0", "30-0", 3, 3)
TRIMMED = stream("20-0", "30-0", 2, 3)
EMPTIED = stream(None, "30-0", 0, 3)
UNCOUNTED = stream("20-0", "30-0", 2, None)


@pytest.mark.parametrize(
    ("extent", "position", "has_all"),
    [
        pytest.param(Extent.of(None), "0-0", True, id="no stream, from the beginning"),
        pytest.param(Extent.of(None), "5-0", False, id="no stream any more"),
        pytest.param(FULL, "0-0", True, id="nothing trimmed, from the beginning"),
        pytest.param(FULL, "5-0", True, id="nothing trimmed, before the oldest"),
        pytest.param(FULL, "30-0", True, id="the newest"),
        pytest.param(FULL, "31-0", False, id="beyond the newest"),
        pytest.param(TRIMMED, "0-0", False, id="trimmed, from the beginning"),
        pytest.param(TRIMMED, "5-0", False, id="trimmed, long before"),
        pytest.param(TRIMMED, "10-0", False, id="trimmed, just before: nobody can tell"),
        pytest.param(TRIMMED, str(TRIMMED.start), True, id="trimmed, where one is to begin"),
        pytest.param(TRIMMED, "20-0", True, id="trimmed, the oldest"),
        pytest.param(EMPTIED, "20-0", False, id="emptied, before the newest"),
        pytest.param(EMPTIED, "30-0", True, id="emptied, at the newest"),
        pytest.param(UNCOUNTED, "10-0", False, id="not counted, before"),
        pytest.param(UNCOUNTED, "20-0", True, id="not counted, the oldest"),
        pytest.param(UNCOUNTED, "0-0", True, id="not counted, from the beginning"),
    ],
)
def test_what_is_gone_behind_a_position_is_known(
    extent: Extent, position: str, *, has_all: bool
) -> None:
    """Or taken for gone where nobody can tell; never the other way round."""
    assert extent.has_all_behind(at(position)) == has_all


@pytest.mark.parametrize(("added", "has_all"), [(0, False), (1, True), (2, True)])
def test_who_has_counted_knows_it_exactly(added: int, *, has_all: bool) -> None:
    """Also just before the oldest."""
    assert TRIMMED.has_all_behind(at("10-0"), added) == has_all


def test_one_goes_on_with_what_there_is() -> None:
    """At the oldest; at the end where the server has lost its newest."""
    assert TRIMMED.next_after(at("5-0")) == TRIMMED.start == at("20-0").before()
    assert TRIMMED.next_after(at("31-0")) == at("30-0")
    assert EMPTIED.next_after(at("5-0")) == at("30-0")
