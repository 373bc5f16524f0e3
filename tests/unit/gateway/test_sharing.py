"""How much of the gateway an account may have while others ask too."""

from __future__ import annotations

import pytest

from gateway.events.sharing import (
    SHARE,
    SHARED_SECONDS,
    SLOTS,
    Sharing,
)

OURS, THEIRS = frozenset({"ours"}), frozenset({"theirs"})


@pytest.mark.parametrize("accounts", [OURS, None], ids=["some", "all"])
def test_who_is_alone_has_everything(accounts: frozenset[str] | None) -> None:
    """However often they ask, also for all accounts."""
    sharing = Sharing()
    for now in (1.0, 1.1, 100.0):
        sharing.note(accounts, now)
        assert sharing.slots(now) == SLOTS


def test_who_is_not_alone_has_a_share() -> None:
    """For a while after somebody else has asked, whoever that was."""
    sharing = Sharing()
    sharing.note(OURS, 1.0)
    sharing.note(THEIRS, 2.0)
    assert sharing.slots(2.0) == SHARE
    assert sharing.late_seconds(2.0) > sharing.late_seconds(1.0 + 60)
    sharing.note(THEIRS, 5.0)
    assert sharing.slots(2.0 + SHARED_SECONDS - 0.1) == SHARE
    assert sharing.slots(2.0 + SHARED_SECONDS) == SLOTS
    sharing.note(OURS, 13.0)
    assert sharing.slots(13.0) == SHARE
