"""How old is too old, and who holds it back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import click
import pytest

from cli.commands.retention import read_age
from tasks.retention import AgedStream, decide

CONTEXT: Any = None
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("text", "hours"),
    [("1h", 1), ("36h", 36), ("7d", 7 * 24), ("30d", 30 * 24), ("999999d", 999_999 * 24)],
)
def test_an_age_is_hours_or_days(text: str, hours: int) -> None:
    """As it is written, and in milliseconds."""
    assert read_age(CONTEXT, CONTEXT, text) == (text, hours * HOUR)


@pytest.mark.parametrize(
    "text", ["", "7", "d", "0d", "-1d", "7 d", "7w", "1.5h", "7D", "1d12h", "७d"]
)
def test_what_is_no_age_is_refused(text: str) -> None:
    """With an example of one; nothing is guessed, and no age is nothing at all."""
    with pytest.raises(click.BadParameter, match="36h or 7d"):
        read_age(CONTEXT, CONTEXT, text)


def test_no_age_is_none() -> None:
    """What has none is left alone."""
    assert read_age(CONTEXT, CONTEXT, None) is None


@pytest.mark.parametrize(
    ("needed", "keep_from", "held_back"),
    [
        pytest.param({}, "1000-0", [], id="no-groups"),
        pytest.param({"a": "1000-0", "b": "1000-1"}, "1000-0", [], id="need-only-what-is-newer"),
        pytest.param({"a": "999-7"}, "999-7", ["a"], id="needs-older"),
        pytest.param({"a": "99-10", "b": "99-9", "c": "2000-0"}, "99-9", ["a", "b"], id="several"),
    ],
)
def test_what_a_group_needs_is_kept(
    needed: dict[str, str], keep_from: str, held_back: list[str]
) -> None:
    """From the oldest of it on, compared as numbers; each group that holds back is named."""
    decision = decide("1000-0", needed)
    assert decision.keep_from == keep_from
    assert list(decision.held_back) == held_back


@pytest.mark.parametrize(
    ("age_milliseconds", "cutoff"),
    [(0, "1700000000123-0"), (1_000, "1699999999123-0"), (10**15, "1-0")],
    ids=["now", "a second ago", "before time began"],
)
def test_the_cutoff_is_an_age_before_the_servers_now(age_milliseconds: int, cutoff: str) -> None:
    """To the millisecond; Redis takes no range that ends before the very first id."""
    client: Any = SimpleNamespace(time=lambda: (1_700_000_000, 123_999))
    assert AgedStream(client, "stream").cutoff(age_milliseconds) == cutoff
