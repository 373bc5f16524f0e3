"""The events of some accounts, for whoever may see no others.

What settling needs of the database (`tasks.settle.Events`), as if all other events were
not there. That is guarded by the statements themselves: nothing is looked up first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db import Database, EventRow, Rows, Settlement


class EventsOfAccounts:
    """Some of the events of a database, or all."""

    def __init__(self, database: Database, accounts: frozenset[str] | None) -> None:
        self._database, self._accounts = database, accounts

    def settle_pending_events(
        self, settlements: Sequence[Settlement], *, with_payload: bool = False
    ) -> Rows:
        """Settle those events of a batch that are pending and ours; return all that are ours."""
        return self._database.settle_pending_events(
            settlements, with_payload=with_payload, accounts=self._accounts
        )

    def read_events(
        self, event_ids: Sequence[str], *, with_payload: bool = False
    ) -> dict[str, EventRow]:
        """Read events as they stand, those that are ours."""
        return self._database.read_events(
            event_ids, with_payload=with_payload, accounts=self._accounts
        )
