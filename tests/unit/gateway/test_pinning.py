"""Updates bound to the accounts of a key, before they go where nobody knows keys."""

from __future__ import annotations

import pytest

from gateway.messages.pinning import pin
from settle_client.update import StatusUpdate
from tasks.errors import NotUnderstoodError

ONE, TWO = frozenset({"acct_1"}), frozenset({"acct_1", "acct_2"})


def update(account: str | None = None) -> StatusUpdate:
    """Make an update."""
    return StatusUpdate("ev_1", "completed", account)


@pytest.mark.parametrize(
    ("accounts", "named", "pinned"),
    [
        pytest.param(None, None, None, id="all, none named"),
        pytest.param(None, "acct_9", "acct_9", id="all, one named"),
        pytest.param(ONE, None, "acct_1", id="one, none named"),
        pytest.param(ONE, "acct_1", "acct_1", id="one, that named"),
        pytest.param(TWO, "acct_2", "acct_2", id="two, one of them named"),
    ],
)
def test_an_update_names_an_account_of_its_key(
    accounts: frozenset[str] | None, named: str | None, pinned: str | None
) -> None:
    """Where the key has accounts."""
    assert pin([update(named)], accounts) == (update(pinned),)


@pytest.mark.parametrize(
    ("accounts", "named", "message"),
    [
        pytest.param(ONE, "acct_2", "[1].accountId: must be an account of the API key", id="other"),
        pytest.param(TWO, None, "[1].accountId: is required with respond-async", id="none of two"),
    ],
)
def test_an_update_for_nobody_knows_whom_is_refused(
    accounts: frozenset[str], named: str | None, message: str
) -> None:
    """By its place, and the others with it."""
    first = update("acct_1")
    with pytest.raises(NotUnderstoodError) as raised:
        pin([first, update(named)], accounts)
    assert str(raised.value).startswith(message)
