"""The replica that lists are read from: whether it follows the database, and how far behind it is.

None of it keeps an event from being settled, or makes a list wrong: gateways read lists from
the primary instead. So it is warned of, and it has no failure but that it is away.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.inspection import Inspection, inspect_database
from db.replicas import NO_REPLICA
from service.database_checks import GRANTS
from service.finding import Finding, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

CATCH_UP_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.05
INSTEAD = "lists are read from the primary"


@dataclass(frozen=True, slots=True)
class ReachedReplica:
    """A connection to the replica, and where its primary is."""

    inspection: Inspection
    database_url: str


@contextmanager
def reach_replica(database_url: str, url: str) -> Iterator[ReachedReplica]:
    """Connect."""
    with inspect_database(url) as inspection:
        yield ReachedReplica(inspection, database_url)


def following(replica: ReachedReplica) -> Finding:
    """Check that it is a standby of the database."""
    there = replica.inspection.place()
    if not there.in_recovery:
        return warning(f"{NO_REPLICA}: {INSTEAD}", "name a standby of the database")
    with inspect_database(replica.database_url) as primary:
        here = primary.place()
    if (there.cluster, there.database) != (here.cluster, here.database):
        return warning(
            f"it is of another server, or database, than DATABASE_URL: {there.database}",
            "name a standby of the database, with the database's name",
        )
    return ok("a standby of the database")


def lag(replica: ReachedReplica) -> Finding:
    """Measure how long it takes to have what the primary has by now."""
    with inspect_database(replica.database_url) as primary:
        written = primary.place().position
    if written is None:
        return unknown("the primary does not say how far it has written")
    began = time.monotonic()
    while True:
        there, seconds = replica.inspection.place(), time.monotonic() - began
        if there.position is None:
            return warning(f"it does not say how far it is: {INSTEAD}", "name a standby")
        if there.position >= written:
            return ok(f"{seconds:.1f} s behind")
        if seconds > CATCH_UP_SECONDS:
            break
        time.sleep(LOOK_AGAIN_SECONDS)
    shown = "unknown" if there.shown_seconds is None else f"{there.shown_seconds:.0f} s old"
    return warning(
        f"more than {CATCH_UP_SECONDS:g} s behind; the last commit that it shows is {shown}",
        "see pg_stat_replication of the primary, and whether replay is paused or waits for a query",
    )


def privileges(replica: ReachedReplica) -> Finding:
    """Check that the role may read what lists read."""
    if missing := replica.inspection.missing_reads():
        return warning(f"the role lacks {', '.join(missing)}: {INSTEAD}", GRANTS)
    return ok("the role may read what is listed")


CHECKS = (following, lag, privileges)
