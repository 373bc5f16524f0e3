"""How far a group is, and what it will never read, from what servers say."""

from __future__ import annotations

from typing import Any

import pytest

from settle_client.standing import Standing, find_group, standing_of


def stream(first: str | None, last: str, length: int, added: int | None) -> dict[str, Any]:
    """Return what XINFO STREAM says; Redis 6.2 does not say how many were added."""
    counted = {} if added is None else {"entries-added": added}
    entries: list[Any] = [] if first is None else [(first, {})]
    return {
        "length": length,
        "first-entry": next(iter(entries), None),
        "last-generated-id": last,
        **counted,
    }


def group(last: str, read: int | None, **lag: int | None) -> dict[str, Any]:
    """Return what XINFO GROUPS says."""
    return {"name": "g", "last-delivered-id": last, "entries-read": read, **lag}


@pytest.mark.parametrize(
    ("of_stream", "of_group", "expected"),
    [
        pytest.param(stream("5-0", "9-0", 5, 9), group("7-0", 7, lag=2), (2, 0), id="near"),
        pytest.param(stream("5-0", "9-0", 5, 9), group("5-0", 5, lag=4), (4, 0), id="at-first"),
        pytest.param(stream("5-0", "9-0", 5, 9), group("4-0", 4), (5, 0), id="just-before"),
        pytest.param(stream("5-0", "9-0", 5, 9), group("5-0", 5, lag=40), (5, 0), id="asked-later"),
        pytest.param(stream("5-0", "9-0", 5, 9), group("2-0", 2), (5, 2), id="behind"),
        pytest.param(stream("5-0", "9-0", 5, 9), group("0-0", None), (5, 4), id="never-read"),
        pytest.param(stream(None, "9-0", 0, 9), group("9-0", 9), (0, 0), id="empty-and-all-read"),
        pytest.param(stream(None, "9-0", 0, 9), group("2-0", 2), (0, 7), id="empty"),
        pytest.param(stream(None, "0-0", 0, 0), group("0-0", None), (0, 0), id="new"),
        pytest.param(stream("5-0", "9-0", 5, 9), group("2-0", None), (5, None), id="uncounted"),
        pytest.param(stream("5-0", "9-0", 5, None), group("2-0", None), (5, None), id="6.2"),
        pytest.param(stream("5-0", "9-0", 5, None), group("7-0", None), (None, 0), id="6.2-near"),
        pytest.param(
            stream("5-0", "9-0", 5, None), group("0-0", None), (5, 0), id="6.2-never-read"
        ),
        pytest.param(
            stream("1700000000000-10", "1700000000000-19", 10, 20),
            group("1700000000000-9", 10),
            (10, 0),
            id="numbers-not-texts",
        ),
    ],
)
def test_a_standing(of_stream: Any, of_group: Any, expected: tuple[Any, Any]) -> None:
    """Of what is there, and of what went before it was read."""
    assert standing_of(of_stream, of_group) == Standing(*expected)


def test_a_group_is_found_by_its_name() -> None:
    """If there is one."""
    assert find_group([group("1-0", 1)], "g")
    assert find_group([group("1-0", 1)], "other") is None
