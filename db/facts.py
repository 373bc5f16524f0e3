"""What `db.inspection` finds out about a database, as plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass

# For a standby that lags, or is started anew.
COMMIT_MAY_WAIT_SECONDS = 10.0
# Of `ANY 2 (a, b, c)`, `FIRST 2 (…)` and `2 (…)`; a list of names alone is of one.
SO_MANY = re.compile(r"\s*(?:(?:FIRST|ANY)\s+)?(\d+)\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The server and the session.

    `sessions_free` is how many sessions the worker's role could have altogether,
    those that it has included. `pooled`: they are reached through a pooler.
    """

    version: str
    major_version: int
    in_recovery: bool
    read_only: bool
    fsync: bool
    synchronous_commit: str
    sessions_free: int
    pooled: bool
    encoding: str


@dataclass(frozen=True, slots=True)
class StandbyFacts:
    """Who follows the server, and whether a commit waits for any of them.

    `names` are those that commits wait for, as the server is set; '' for none. `waited_for`:
    sessions of this role wait for them. `followers` are all that there are, `synchronous`
    those of them that commits wait for, None if this role may not see that.
    """

    names: str
    waited_for: bool
    followers: int
    synchronous: int | None

    @property
    def needed(self) -> int:
        """Return how many of them each commit waits for."""
        numbered = SO_MANY.match(self.names)
        return int(numbered[1]) if numbered else 1

    @property
    def there(self) -> int:
        """Return how many of them are there, or may be as far as this role can see."""
        return self.followers if self.synchronous is None else self.synchronous


@dataclass(frozen=True, slots=True)
class WaitingFacts:
    """How many sessions wait for a standby in their commit, and how long the first does."""

    commits: int
    longest_seconds: float

    @property
    def for_too_long(self) -> bool:
        """Return whether it is not merely slow: perhaps there is no standby to wait for."""
        return self.longest_seconds > COMMIT_MAY_WAIT_SECONDS


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """Where a server is: in which cluster and database, and how far in its log.

    `position` is what a standby has replayed, and a primary written. `shown_seconds` is the age
    of the last commit that a standby has replayed, None if there was none.
    """

    in_recovery: bool
    position: int | None
    cluster: int
    database: str
    shown_seconds: float | None


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """The migration that the schema is at, None before the first or if the role may not see it."""

    revision: str | None
    is_hidden: bool


@dataclass(frozen=True, slots=True)
class TableFacts:
    """The events table.

    `differences` are from the model, in words. `unlogged` tables are emptied by
    a crash. An index in `hindering_indexes` has a column that settling writes. Of a
    partitioned table, `unlogged` is whether any partition is, `fillfactor` that of the
    fullest. `hidden_in` are the schemas that have a table of the name, if none is found.
    """

    exists: bool
    differences: tuple[str, ...] = ()
    unlogged: bool = False
    hindering_indexes: tuple[str, ...] = ()
    fillfactor: int | None = None
    hidden_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrivilegeFacts:
    """What the role may not do though it must, and may do though it need not."""

    role: str
    missing: tuple[str, ...]
    excess: tuple[str, ...]
    rows_are_filtered: bool
