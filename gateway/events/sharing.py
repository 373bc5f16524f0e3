"""How the gateway is shared between accounts: how much of it one may have while others ask too.

Batches that fill all slots keep the processors, and Python's lock, from whoever comes meanwhile. An
account that is alone may have all of it; docs/adr/0023-rate-limits-and-fairness.md has the
figures. Pure: the time is passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.requests.fairness import NOBODY

if TYPE_CHECKING:
    Accounts = frozenset[str] | None

SLOTS = 8
# Under way for the same accounts, while others ask too; and for how long that is so.
SHARE = 2
SHARED_SECONDS = 10.0
# Longer than a batch takes whose rows are not locked, on a busy machine. While others ask, much
# longer: what is late is under way as well, and counts for no share.
LATE_SECONDS = 0.1
SHARED_LATE_SECONDS = 1.0
# So many updates may wait for a slot: seconds of work, and some hundred bytes each.
MAX_WAITING_UPDATES = 100_000


class Sharing:
    """Whether several ask."""

    def __init__(self) -> None:
        self._asked_last = NOBODY
        self._until = 0.0

    def note(self, accounts: Accounts, now: float) -> None:
        """Note that somebody asks.

        Args:
            accounts: Whose events there are for them, None for all.
            now: In seconds, of any monotonic clock.
        """
        if accounts != self._asked_last:
            if self._asked_last != NOBODY:
                self._until = now + SHARED_SECONDS
            self._asked_last = accounts

    def slots(self, now: float) -> int:
        """Return how many batches of the same accounts may be under way, those late left out."""
        return SHARE if now < self._until else SLOTS

    def late_seconds(self, now: float) -> float:
        """Return after how long a batch that begins is late, and waited for no more."""
        return SHARED_LATE_SECONDS if now < self._until else LATE_SECONDS
