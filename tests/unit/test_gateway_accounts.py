"""The events of some accounts: the others are as if they were not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from db import Settlement
from tasks.messages import Message, StatusUpdate
from tasks.settle import settle_batch
from tests.model import ReferenceEvents
from worker.gateway.accounts import EventsOfAccounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from db import EventRow
    from db.rows import Status

OWNERS = {"ev_1": "ours", "ev_2": "ours too", "ev_3": "theirs"}
OURS = frozenset({"ours", "ours too"})


class Asked(ReferenceEvents):
    """Events that remember what they were asked for."""

    def __init__(self) -> None:
        super().__init__(OWNERS)
        self.settlements: list[Settlement] = []

    def settle_pending_events(
        self, settlements: Sequence[Settlement], *, with_payload: bool = False
    ) -> dict[str, EventRow]:
        """Settle them, and remember."""
        self.settlements += settlements
        return super().settle_pending_events(settlements, with_payload=with_payload)


def settle(
    events: Asked, *settlements: Settlement, accounts: frozenset[str] = OURS
) -> Mapping[str, EventRow]:
    """Settle through the eyes of some accounts."""
    return EventsOfAccounts(events, accounts).settle_pending_events(settlements)


def test_an_event_of_ours_is_settled() -> None:
    """With its account named, and without."""
    rows = settle(
        Asked(),
        Settlement("ev_1", "completed", None, "m"),
        Settlement("ev_2", "failed", "ours too", "m"),
    )
    assert {id_: row.status for id_, row in rows.items()} == {"ev_1": "completed", "ev_2": "failed"}


def test_an_event_of_others_is_neither_settled_nor_shown() -> None:
    """Whether the update names their account or none."""
    events = Asked()
    updates = [Settlement("ev_3", "completed", account, "m") for account in (None, "theirs")]
    assert settle(events, *updates) == {}
    assert events.rows["ev_3"].status is None


def test_every_settlement_names_its_account() -> None:
    """The guard stands in the update: nothing that could apply to others gets to the database."""
    events = Asked()
    settle(events, *(Settlement(id_, "failed", None, "m") for id_ in OWNERS))
    assert {settlement.account_id for settlement in events.settlements} == OURS


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*OWNERS, "nobody"]),
            st.sampled_from(["completed", "failed"]),
            st.sampled_from([None, "ours", "theirs", "ours too"]),
        ),
        min_size=1,
    ),
    st.frozensets(st.sampled_from(["ours", "ours too", "theirs"])),
)
def test_it_is_as_if_the_others_did_not_exist(
    updates: list[tuple[str, Status, str | None]], accounts: frozenset[str]
) -> None:
    """The same outcomes as from a table that has only their events, and the others' untouched."""
    message = Message(
        "m",
        tuple(
            StatusUpdate.model_validate({"id": id_, "status": status, "accountId": account})
            for id_, status, account in updates
        ),
    )
    whole = ReferenceEvents(OWNERS)
    part = ReferenceEvents({id_: owner for id_, owner in OWNERS.items() if owner in accounts})
    assert settle_batch([message], EventsOfAccounts(whole, accounts)) == settle_batch(
        [message], part
    )
    assert {id_: row for id_, row in whole.rows.items() if row.account_id in accounts} == part.rows
    others = [row for row in whole.rows.values() if row.account_id not in accounts]
    assert all(row.status is None for row in others)
