"""Which outcomes somebody gets: those of the accounts of the key, and of these what is asked for.

An outcome whose event was not found says no account, for to say it would be to say whose event
that is. So it is for keys of all accounts alone; its sender gets it in the answer. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway.outcomes.stream import Entry

# How a query calls the reason of an update that has none.
UPDATED = "updated"


class Filter(NamedTuple):
    """What is asked for; None for all.

    Attributes:
        accounts: Those of the key.
        message_id: Of the message that carried the update.
        reasons: As outcomes have them, and `updated` for none.
    """

    accounts: frozenset[str] | None
    message_id: str | None = None
    reasons: frozenset[str] | None = None

    def takes(self, entry: Entry) -> bool:
        """Return whether an outcome is asked for, and may be seen."""
        return (
            (self.accounts is None or entry.account_id in self.accounts)
            and (self.message_id is None or entry.message_id == self.message_id)
            and (self.reasons is None or (entry.reason or UPDATED) in self.reasons)
        )
