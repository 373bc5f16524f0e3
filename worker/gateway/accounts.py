"""The events of some accounts, for who may see no others.

What settling needs of the database (`tasks.settle.Events`), with the events of all
other accounts left out, as if they were not there. The guard stands in the update
itself: nothing is looked up first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from db import EventRow, Settlement
    from tasks.settle import Events


class EventsOfAccounts:
    """Some of the events of a database."""

    def __init__(self, events: Events, accounts: frozenset[str]) -> None:
        self._events, self._accounts = events, accounts

    def settle_pending_events(
        self, settlements: Sequence[Settlement], *, with_payload: bool = False
    ) -> Mapping[str, EventRow]:
        """Settle those events of a batch that are pending and ours; return all that are ours."""
        ours = [
            # An event is of one account, so only one of these can apply.
            settlement._replace(account_id=account)
            for settlement in settlements
            for account in self._asked_for(settlement)
        ]
        rows = self._events.settle_pending_events(ours, with_payload=with_payload)
        return {id_: row for id_, row in rows.items() if row.account_id in self._accounts}

    def _asked_for(self, settlement: Settlement) -> frozenset[str]:
        if settlement.account_id is None:
            return self._accounts
        return self._accounts & {settlement.account_id}
