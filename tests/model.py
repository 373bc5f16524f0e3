"""The guarded update as a dictionary: what the database is compared with.

It applies settlements one after the other, which is what a batch must amount to.
The unit ring settles through it; the integration ring proves that PostgreSQL
does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from db import EventRow, Rows, Settlement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CREATED = "2026-01-01T00:00:00.000000Z"
SETTLED = "2026-01-02T00:00:00.000000Z"


class ReferenceEvents:
    """Events in memory, settled one by one."""

    def __init__(self, accounts: Mapping[str, str]) -> None:
        """Hold one pending event for each id, of the account given."""
        self.rows = {
            id_: EventRow(id_, account, "order.created", CREATED, None, None, None)
            for id_, account in accounts.items()
        }

    def settle_pending_events(
        self,
        settlements: Sequence[Settlement],
        *,
        with_payload: bool = False,
    ) -> Rows:
        """Settle those that are pending, in order."""
        changed = 0
        for settlement in settlements:
            row = self.rows.get(settlement.event_id)
            if row is not None and settlement.applies_to(row):
                self.rows[row.id] = row._replace(
                    completed_at=SETTLED if settlement.status == "completed" else None,
                    failed_at=SETTLED if settlement.status == "failed" else None,
                    settled_by=settlement.message_id,
                )
                changed += 1
        rows = Rows(self.read_events([settlement.event_id for settlement in settlements]))
        rows.changed = changed
        return rows

    def read_events(
        self, event_ids: Sequence[str], *, with_payload: bool = False
    ) -> dict[str, EventRow]:
        """Return those that there are."""
        return {id_: self.rows[id_] for id_ in event_ids if id_ in self.rows}
