"""Outcomes as CloudEvents: when they were published, and whatever the ids in them are."""

from __future__ import annotations

import json

import pytest

from service.cloud_events import cloud_event, published_at
from service.entries import Head
from settle_client.moments import timestamp


@pytest.mark.parametrize(
    ("entry_id", "expected"),
    [
        ("0-1", "1970-01-01T00:00:00"),
        ("1795000000123-0", "2026-11-18T11:06:40.123"),
        ("253402300799999-0", "9999-12-31T23:59:59.999"),
        ("253402300800000-0", "9999-12-31T23:59:59.999"),
        (f"{2**64 - 1}-0", "9999-12-31T23:59:59.999"),
    ],
)
def test_any_id_of_a_stream_is_a_time(entry_id: str, expected: str) -> None:
    """Who adds an entry may choose it, and Redis numbers all that follow behind."""
    assert timestamp(published_at(entry_id)).startswith(expected)


@pytest.mark.parametrize(
    "strange", ["\n", "\x7f", "\x85", "\ufdd0", "\uffff", "\U0010fffe"], ids=ascii
)
def test_no_attribute_has_a_character_that_the_standard_disallows(strange: str) -> None:
    """The id is written another way, always the same; the event is named by the data alone."""
    head = Head(id=f"ev{strange}1", message_id=f"m{strange}", index=0)
    first, again = (json.loads(cloud_event(head, "{}", entry)) for entry in ("1-0", "2-0"))
    assert "subject" not in first
    assert strange not in first["id"]
    assert first["id"] == again["id"]
    assert first["id"].startswith("m%")


@pytest.mark.parametrize("usual", ["a/b", "%", "ü", "\u2028", "\U0001f600", " "], ids=ascii)
def test_any_other_character_stays(usual: str) -> None:
    """In both."""
    head = Head(id=usual, message_id=usual, index=7)
    written = json.loads(cloud_event(head, "{}", "1-0"))
    assert (written["subject"], written["id"]) == (usual, f"{usual}/7")
