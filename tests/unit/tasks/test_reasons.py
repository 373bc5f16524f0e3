"""Reasons without what differs from case to case."""

from __future__ import annotations

import pytest

from tasks.reasons import kind_of


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("status: must be 'completed', got 'done'", "status: must be 'completed', got …"),
        (
            "id: must be text, got 1; status: is required",
            "id: must be text, got …; status: is required",
        ),
        (
            '23514 new row violates check constraint "ck_9"',
            '23514 new row violates check constraint "ck_9"',
        ),
        ("P0001 event ev_17 is locked, by 5", "P0001 event … is locked, by …"),
        ("6 workers died with it", "… workers died with it"),
        ("1 to 1,000 updates, this one 1500", "… to … updates, this one …"),
        ("the body is not JSON: line 1 column 7", "the body is not JSON: line … column …"),
        ("the task is unknown: 'a.b'", "the task is unknown: 'a.b'"),
        ("", ""),
    ],
)
def test_what_differs_is_left_out(reason: str, kind: str) -> None:
    """And what says which fault it is stays."""
    assert kind_of(reason) == kind
    assert kind_of(kind) == kind
