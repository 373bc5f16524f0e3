"""What a list is asked for: understood, or refused by the name of the parameter."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.listing import Listing, ListPosition
from gateway.events.cursors import write_cursor
from gateway.events.list_parameters import READERS, understand_parameters
from tasks.errors import NotUnderstoodError

PLACE = ListPosition("2026-11-23 09:00:00+00", "ev_1")


def test_without_any_it_is_the_first_page_of_ten() -> None:
    """Of all events that there are for the key."""
    assert understand_parameters([], None) == Listing(10)
    assert understand_parameters([], frozenset(["a"])) == Listing(10, accounts=frozenset(["a"]))


def test_each_is_understood() -> None:
    """All together."""
    given = {
        "status": "pending",
        "event_type": "order.created",
        "page": "3",
        "pageSize": "1000",
        "created_after": "2026-11-23T10:00:00.5+01:00",
        "created_before": "2026-11-24t00:00:00z",
        "accountId": "acct_9",
    }
    assert understand_parameters(list(given.items()), None) == Listing(
        1_000,
        2_000,
        "pending",
        "order.created",
        datetime(2026, 11, 23, 9, 0, 0, 500_000, tzinfo=UTC),
        datetime(2026, 11, 24, tzinfo=UTC),
        frozenset(["acct_9"]),
    )
    after = understand_parameters([("after", write_cursor(PLACE))], None)
    assert after == Listing(10, after=PLACE)


@pytest.mark.parametrize(
    ("accounts", "found"),
    [(None, {"a"}), (frozenset("ab"), {"a"}), (frozenset("bc"), set())],
    ids=["all", "its own", "another's"],
)
def test_an_account_narrows_what_the_key_opens(
    accounts: frozenset[str] | None, found: set[str]
) -> None:
    """And never widens it."""
    assert understand_parameters([("accountId", "a")], accounts).accounts == found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("status=done", "status: must be pending, completed or failed, got 'done'"),
        ("status=", "status: must be pending, completed or failed, got ''"),
        ("page=0", "page: must be a whole number from 1 to 1,000,000, got '0'"),
        ("page=1000001", "page: must be a whole number"),
        ("page=-1", "page: must be a whole number"),
        ("page=1.5", "page: must be a whole number"),
        ("page=\u0663", "page: must be a whole number"),
        ("pageSize=0", "pageSize: must be a whole number from 1 to 1,000, got '0'"),
        ("pageSize=1001", "pageSize: must be a whole number from 1 to 1,000, got '1001'"),
        ("pageSize=" + "9" * 5_000, "pageSize: must be a whole number"),
        ("event_type=", "event_type: must have at least 1 character"),
        ("event_type=a\0", "event_type: contains NUL"),
        ("accountId=" + "x" * 256, "accountId: must have at most 255 characters"),
        ("created_after=soon", "created_after: must be a time with its zone"),
        ("created_after=2026-11-23T09:00:00", "created_after: must be a time with its zone"),
        ("created_after=2026-11-23T09:00:00 01:00", "(a + is sent as %2B)"),
        ("created_before=2026-13-23T09:00:00Z", "created_before: must be a time"),
        ("after=x", "after: must be taken as it is from the header Link of a page, got 'x'"),
        (f"after={write_cursor(PLACE)}&page=2", "page: cannot be given with after"),
        ("page=1&page=2", "page: must be given once, not 2 times"),
        ("pagesize=10", "'pagesize' is no parameter of this list: there are status, event_type"),
    ],
    ids=lambda text: text[:40],
)
def test_what_is_not_valid_is_refused(given: str, message: str) -> None:
    """By its name, with what it should be."""
    pairs = [(name, value) for name, _, value in (one.partition("=") for one in given.split("&"))]
    with pytest.raises(NotUnderstoodError) as caught:
        understand_parameters(pairs, None)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 250


@given(st.lists(st.tuples(st.sampled_from(list(READERS)) | st.text(), st.text()), max_size=3))
def test_any_parameters_are_understood_or_refused(pairs: list[tuple[str, str]]) -> None:
    """In one line that can be sent; nothing else gets out."""
    said = ""
    try:
        understand_parameters(pairs, None)
    except NotUnderstoodError as error:
        said = str(error)
    assert "\n" not in said
    assert said.encode() or not said
