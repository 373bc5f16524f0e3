"""Times in outcomes, as they are written and read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settle_client.moments import FAR, read_moment, timestamp


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_is_read(moment: datetime) -> None:
    """To the microsecond, in UTC, and it is not taken for a far one."""
    text = timestamp(moment)
    assert len(text) == len("2026-11-23T09:00:00.000000Z")
    assert read_moment(text) == moment
    assert not re.search(FAR, text)


def test_another_zone_is_written_in_utc() -> None:
    """A time is the same whoever says it."""
    moment = datetime(2026, 11, 23, 10, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(moment) == "2026-11-23T09:00:00.000000Z"


@pytest.mark.parametrize(
    "text",
    ["infinity", "-infinity", "57872-05-10 16:00:00+00", "0044-03-15 12:00:00+00 BC"],
    ids=["never", "always", "later", "earlier"],
)
def test_a_far_time_stays_the_text_that_it_is(text: str) -> None:
    """There and back, and the contract knows it."""
    assert read_moment(text) == text
    assert timestamp(text) == text
    assert re.search(FAR, text)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-23", "2026-11-23T09:00:00"])
def test_a_text_that_is_no_point_in_time_stays_what_it_is(text: str) -> None:
    """Without a zone it could be anybody's."""
    assert read_moment(text) == text
