"""What is kept of a message that is answered later."""

from __future__ import annotations

import pytest

from gateway.messages.records import Record, record_of
from gateway.outcomes.positions import BEGINNING
from gateway.outcomes.stream import Entry
from settle_client.outcome import encode_json
from settle_client.update import StatusUpdate


def record(*updates: tuple[str, str | None]) -> Record:
    """Make the record of a message that completes events of some accounts."""
    made = [StatusUpdate(id_, "completed", account) for id_, account in updates]
    return record_of(made, BEGINNING, 0)


TWO = record(("ev_1", "acct_1"), ("ev_2", "acct_2"))
ANY = record(("ev_1", "acct_1"), ("ev_2", None))


@pytest.mark.parametrize(
    ("kept", "accounts", "may_see"),
    [
        pytest.param(TWO, None, True, id="a key of all"),
        pytest.param(TWO, {"acct_1", "acct_2"}, True, id="of just these"),
        pytest.param(TWO, {"acct_1", "acct_2", "acct_3"}, True, id="of more"),
        pytest.param(TWO, {"acct_1"}, False, id="of some of them"),
        pytest.param(TWO, set(), False, id="of none"),
        pytest.param(ANY, None, True, id="of any account, a key of all"),
        pytest.param(ANY, {"acct_1"}, False, id="of any account, a key of one"),
    ],
)
def test_a_message_is_for_keys_of_all_its_accounts(
    kept: Record, accounts: set[str] | None, *, may_see: bool
) -> None:
    """One whose update names none may be of any."""
    assert kept.may_be_seen_by(None if accounts is None else frozenset(accounts)) == may_see


@pytest.mark.parametrize(
    ("kept", "index", "event_id", "account", "is_its"),
    [
        pytest.param(TWO, 0, "ev_1", "acct_1", True, id="of it"),
        pytest.param(TWO, 1, "ev_2", None, True, id="not found"),
        pytest.param(ANY, 1, "ev_2", "acct_9", True, id="of any account"),
        pytest.param(TWO, 0, "ev_2", "acct_1", False, id="another event"),
        pytest.param(TWO, 0, "ev_1", "acct_3", False, id="another account"),
        pytest.param(TWO, 2, "ev_1", "acct_1", False, id="more updates"),
        pytest.param(TWO, -1, "ev_2", "acct_2", False, id="before the first"),
        pytest.param(TWO, None, "ev_1", "acct_1", False, id="of an older worker"),
        pytest.param(TWO, 0, None, None, False, id="not understood"),
    ],
)
def test_an_outcome_of_another_message_under_its_id_is_not_its(
    kept: Record, index: int | None, event_id: str | None, account: str | None, *, is_its: bool
) -> None:
    """It is of other events, or of other accounts."""
    entry = Entry(BEGINNING, event_id, account, "m", None, index, b"{}")
    assert kept.has_outcome(entry) == is_its


def test_a_record_is_small() -> None:
    """It is kept for a day, of each message."""
    one = len(encode_json(record(("x" * 255, "acct_1"))))
    many = len(encode_json(record(*((f"{n:0>255}", "acct_1") for n in range(1_000)))))
    assert one < 250
    assert many < one + 8 * 1_000
