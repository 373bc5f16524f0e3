"""When an outcome was published, as a CloudEvent says it."""

from __future__ import annotations

import pytest

from service.cloud_events import published_at
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
