"""Cursors: what was written is read, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.listing import ListPosition
from gateway.events.cursors import MAX_CHARACTERS, read_cursor, write_cursor

# As PostgreSQL can store it, and JSON can carry it.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=255)
PLACE = ListPosition("2026-11-23 09:00:00.000001+00", "ev_1")


@given(TEXT, TEXT)
def test_a_place_is_read_as_it_was_written(created_at: str, id_: str) -> None:
    """Whatever the id is; in characters that need no escape in a URL."""
    cursor = write_cursor(ListPosition(created_at, id_))
    assert read_cursor(cursor) == ListPosition(created_at, id_)
    assert len(cursor) <= MAX_CHARACTERS
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("number", range(len(write_cursor(PLACE))))
def test_one_that_was_changed_is_told(number: int) -> None:
    """At any character, or cut there."""
    cursor = write_cursor(PLACE)
    other = "A" if cursor[number] != "A" else "B"
    assert read_cursor(cursor[:number] + other + cursor[number + 1 :]) is None
    assert read_cursor(cursor[:number]) is None
    assert read_cursor(cursor + other) is None


@pytest.mark.parametrize(
    "place", [("2026-11-23", "\0"), ("2026-11-23", "\ud800"), ("\ud800", "ev_1")], ids=ascii
)
def test_one_that_was_made_up_says_nothing_that_cannot_be_asked_for(place: tuple[str, str]) -> None:
    """Its digest is no secret: with a place that PostgreSQL has no text for it is none."""
    assert read_cursor(write_cursor(ListPosition(*place))) is None


@given(st.text())
def test_any_text_is_a_place_or_none(text: str) -> None:
    """Nothing else gets out."""
    assert read_cursor(text) is None
