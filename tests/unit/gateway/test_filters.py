"""Which outcomes a listener gets."""

from __future__ import annotations

import pytest

from gateway.outcomes.filters import Filter
from gateway.outcomes.positions import BEGINNING
from gateway.outcomes.stream import Entry

OURS = frozenset({"acct_1", "acct_2"})


def entry(account: str | None = "acct_1", reason: str | None = None, message: str = "m") -> Entry:
    """Make an outcome."""
    return Entry(BEGINNING, "ev_1", account, message, reason, 0, b"{}")


@pytest.mark.parametrize(
    ("wanted", "outcome", "is_taken"),
    [
        pytest.param(Filter(None), entry(None), True, id="a key of all accounts"),
        pytest.param(Filter(OURS), entry(), True, id="ours"),
        pytest.param(Filter(OURS), entry("acct_3"), False, id="another's"),
        pytest.param(Filter(OURS), entry(None, "not_found"), False, id="nobody knows whose"),
        pytest.param(Filter(frozenset()), entry(), False, id="a key of no account"),
        pytest.param(Filter(OURS, "m"), entry(), True, id="that message"),
        pytest.param(Filter(OURS, "n"), entry(), False, id="another message"),
        pytest.param(Filter(OURS, "m"), entry("acct_3"), False, id="that message, another's"),
        pytest.param(Filter(None, None, frozenset({"updated"})), entry(), True, id="updated"),
        pytest.param(
            Filter(None, None, frozenset({"updated"})), entry(None, "refused"), False, id="refused"
        ),
        pytest.param(
            Filter(None, None, frozenset({"refused", "updated"})),
            entry(None, "refused"),
            True,
            id="one of several reasons",
        ),
    ],
)
def test_a_filter_takes_what_is_asked_for_and_may_be_seen(
    wanted: Filter, outcome: Entry, *, is_taken: bool
) -> None:
    """All of it has to hold."""
    assert wanted.takes(outcome) == is_taken
