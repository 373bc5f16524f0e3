"""How much of the gateway an account may have while others ask too."""

from __future__ import annotations

import pytest

from gateway.events.sharing import (
    MAX_WAITING_UPDATES,
    SHARE,
    SHARED_SECONDS,
    SLOTS,
    Sharing,
    is_too_much,
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


@pytest.mark.parametrize(
    ("waiting", "others", "is_refused"),
    [
        pytest.param(MAX_WAITING_UPDATES - 1, [], False, id="alone, with room"),
        pytest.param(MAX_WAITING_UPDATES, [], True, id="alone, full"),
        pytest.param(0, [MAX_WAITING_UPDATES], False, id="the other has all"),
        pytest.param(MAX_WAITING_UPDATES // 2, [MAX_WAITING_UPDATES // 2], True, id="half each"),
        pytest.param(MAX_WAITING_UPDATES // 2, [0], False, id="half, with room"),
    ],
)
def test_only_who_has_more_than_a_part_waiting_is_refused(
    *, waiting: int, others: list[int], is_refused: bool
) -> None:
    """And only when as much waits as may."""
    assert is_too_much(waiting, [waiting, *others]) is is_refused
