"""Where lists are read: from a replica, if one is set and is good, else from the primary.

Whatever a replica cannot answer the primary does: it is away, too far behind, promoted, not
migrated yet, or has ended a statement for the sake of what it had to replay. So a list is
answered as without one. Two things are no better there: a list that takes too long, which
the replica is to keep away from it, and a value that is refused.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from db import BadDataError, DatabaseError, TransientDatabaseError
from db.listing import TIMEOUT_SECONDS, list_events
from gateway import metrics
from gateway.events.following import Follower
from gateway.requests.patience import Patience

if TYPE_CHECKING:
    from db import Database
    from db.listing import Listed, Listing
    from db.replicas import Replica

    Accounts = frozenset[str] | None

# Made at once, apart from other questions: a list may take long.
LISTS = 4
# Some wait for others.
REPLICA_SECONDS = 2.0 * TIMEOUT_SECONDS


class ListReader:
    """Reads lists, for one process."""

    def __init__(self, database: Database, replica: Replica | None, seconds: float) -> None:
        """Begin with nothing asked.

        Args:
            database: The primary.
            replica: None where none is set.
            seconds: After which the primary is not waited for any more.
        """
        self._database, self._replica = database, replica
        self._patience = Patience(seconds, LISTS)
        self._replica_patience = Patience(REPLICA_SECONDS, LISTS)
        self.follower = Follower(replica) if replica else None

    @property
    def place(self) -> str:
        """Return where lists are read now."""
        return "replica" if self.follower and self.follower.is_good else "primary"

    async def read(self, listing: Listing, accounts: Accounts) -> Listed:
        """Read a list.

        Args:
            listing: What is asked for.
            accounts: Whose turn that takes, None for who may see all.

        Raises:
            DatabaseError: See `db.listing.list_events`.
            HTTPException: The process stops.
        """
        listed = await self._read_replica(listing, accounts)
        place = "replica" if listed else "primary"
        if listed is None:
            ask = partial(list_events, self._database, listing)
            listed = await self._patience.ask(ask, accounts)
        metrics.LISTS.labels(place).inc()
        return listed

    def close(self) -> None:
        """Ask nothing more, and wait for what was asked."""
        self._patience.close()
        self._replica_patience.close()
        if self.follower:
            self.follower.close()

    async def _read_replica(self, listing: Listing, accounts: Accounts) -> Listed | None:
        """Read a list there, None if it is for the primary to answer."""
        if self._replica is None or self.place == "primary":
            return None
        try:
            ask = partial(list_events, self._replica, listing)
            return await self._replica_patience.ask(ask, accounts)
        except BadDataError:
            raise
        except TransientDatabaseError as error:
            if error.took_too_long:
                raise
            return None
        except DatabaseError:
            return None
