"""Which settlements of a batch are worth another try in its transaction; pure.

A pending event to which a settlement applies is settled by the statement, or is not:
because it was inserted a moment later, or because a trigger or a policy keeps it as it is.
The first is tried again, and the second only once more: nothing is tried without end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from db.rows import EventRow, Settlement


class Tries:
    """What was pending after a try, so that nothing is tried without end."""

    def __init__(self) -> None:
        self._pending: set[str] = set()

    def worth_another(
        self, settlements: Sequence[Settlement], rows: Mapping[str, EventRow]
    ) -> list[Settlement]:
        """Return those settlements of a try that may do better in the next.

        An event inserted between the two statements is pending, and will be there from the
        beginning then. One that was there is not changed to that status, whoever asks.
        """
        pending = [each for each in settlements if each.applies_to(rows.get(each.event_id))]
        refused: dict[str, str] = {}
        for each in pending:
            if each.event_id in self._pending:
                # The first of an event is the one that was tried.
                refused.setdefault(each.event_id, each.status)
        self._pending.update(each.event_id for each in pending)
        return [each for each in pending if refused.get(each.event_id) != each.status]
