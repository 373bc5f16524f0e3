"""PostgreSQL: whether it keeps what is committed, and the table is as workers need it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.inspection import EXPECTED_FILLFACTOR_PERCENT, Inspection, inspect_database
from db.revisions import newest_revision
from service.clock import judge_clock
from service.finding import Finding, failure, ok, unknown, warning
from service.pages import GRANTS_PAGE, TRIGGERS_PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

# What to do about a database that cannot be reached.
START = "start it, or correct DATABASE_URL"
STANDBY = "start the standby, or let the server wait for another: synchronous_standby_names"
ASK_DOCTOR = "see what settle doctor says"
OLDEST_VERSION = 15
MIGRATE = "settle migrate, as the owner of the table"
# For a database that is ahead, which a migration from here would refuse.
UPGRADE = "run the newer version of Settle that has migrated it"
NO_TABLE = "not checked: no events table"
GRANTS = f"the grants in {GRANTS_PAGE}"


@dataclass(frozen=True, slots=True)
class ReachedDatabase:
    """A connection, and how many sessions the workers want between them."""

    inspection: Inspection
    sessions_wanted: int


@contextmanager
def reach_database(url: str, *, sessions_wanted: int) -> Iterator[ReachedDatabase]:
    """Connect."""
    with inspect_database(url) as inspection:
        yield ReachedDatabase(inspection, sessions_wanted)


def server(database: ReachedDatabase) -> Finding:
    """Check the version, and that it takes writes."""
    facts = database.inspection.server()
    found = f"PostgreSQL {facts.version}"
    if facts.major_version < OLDEST_VERSION:
        return failure(f"{found} is too old", f"upgrade to PostgreSQL {OLDEST_VERSION} or newer")
    if facts.in_recovery:
        return failure(f"{found} is a standby and takes no writes", "name the primary in the URL")
    if facts.read_only:
        return failure(
            f"{found}: transactions are read-only by default",
            "default_transaction_read_only = off, for the server, the database and the role",
        )
    if facts.encoding != "UTF8":
        return warning(
            f"{found}: the database is in {facts.encoding}, which cannot hold every id",
            "a database with ENCODING 'UTF8'",
        )
    return ok(f"{found}, through a pooler" if facts.pooled else found)


def durability(database: ReachedDatabase) -> Finding:
    """Check that what is committed stays: outcomes are published on the strength of it."""
    facts = database.inspection.server()
    if not facts.fsync:
        return failure("fsync is off: a crash may corrupt the database", "fsync = on")
    if facts.synchronous_commit == "off":
        return failure(
            "synchronous_commit is off: a crash undoes what outcomes have told",
            "synchronous_commit = on, for the server, the database and the role",
        )
    return ok(f"fsync on, synchronous_commit {facts.synchronous_commit}")


def commits(database: ReachedDatabase) -> Finding:
    """Check that no commit waits for a standby that may not be there."""
    waiting = database.inspection.waiting()
    if not waiting.for_too_long:
        return ok("none waits for a standby")
    found = f"{waiting.commits} wait for a synchronous standby"
    return failure(f"{found}, {waiting.longest_seconds:.0f} s by now", STANDBY)


def standby(database: ReachedDatabase) -> Finding:
    """Check whether what is answered outlives the server."""
    facts = database.inspection.standbys()
    if not facts.names:
        if not facts.followers:
            return ok("none follows, and commits wait for none")
        return warning(
            "one follows that commits do not wait for: a failover may undo what was answered last",
            "synchronous_standby_names = 'ANY 1 (…)', with two standbys or more to choose from",
        )
    if not facts.waited_for:
        return warning(
            "synchronous_standby_names is set, but this role's commits do not wait",
            "synchronous_commit = on, for the server, the database and the role",
        )
    if not facts.there:
        return failure("none of those that commits wait for is there", STANDBY)
    if facts.there < facts.needed:
        return failure(f"commits wait for {facts.needed} standbys, and have {facts.there}", STANDBY)
    which = f"{facts.followers}, which of them is hidden"
    if facts.synchronous is not None:
        which = f"{facts.synchronous} of {facts.followers} that follow"
    return ok(f"commits wait for {which}")


def migration(database: ReachedDatabase) -> Finding:
    """Compare the schema's migration with the one that this version expects."""
    schema, newest = database.inspection.schema(), newest_revision()
    if schema.is_hidden:
        return unknown("this role may not read alembic_version", GRANTS)
    if schema.revision is None:
        return failure("the database was never migrated", MIGRATE)
    if _is_newer(database):
        return warning(
            f"at {schema.revision}, this version of Settle expects {newest}",
            UPGRADE,
        )
    if schema.revision != newest:
        return failure(f"at {schema.revision}, this version of Settle expects {newest}", MIGRATE)
    return ok(f"at {newest}, the newest")


def table(database: ReachedDatabase) -> Finding:
    """Compare the events table with the model."""
    facts = database.inspection.table()
    if facts.hidden_in:
        return failure(
            f"the events table is not in the search path: it is in {', '.join(facts.hidden_in)}",
            "GRANT USAGE ON SCHEMA to the role, and ALTER ROLE … SET search_path",
        )
    if not facts.exists:
        fix = UPGRADE if _is_newer(database) else MIGRATE
        return failure("there is no events table in the search path", fix)
    if facts.differences:
        fix = UPGRADE if _is_newer(database) else f"restore what is missing, or {MIGRATE}"
        return failure("; ".join(facts.differences), fix)
    if facts.unlogged:
        return failure(
            "the table is UNLOGGED: a crash empties it",
            "ALTER TABLE events SET LOGGED, or each of its partitions",
        )
    return ok("columns and constraints are as they should be")


def _is_newer(database: ReachedDatabase) -> bool:
    revision = database.inspection.schema().revision
    return revision is not None and revision > newest_revision()


def hot_updates(database: ReachedDatabase) -> Finding:
    """Check that settling an event touches no index."""
    facts = database.inspection.table()
    if not facts.exists:
        return unknown(NO_TABLE)
    if facts.hindering_indexes:
        return warning(
            f"settling must write to indexes too: {', '.join(facts.hindering_indexes)}",
            "drop indexes that mention completed_at, failed_at or settled_by (docs/adr/0003)",
        )
    if facts.fillfactor is None or facts.fillfactor > EXPECTED_FILLFACTOR_PERCENT:
        return warning(
            f"fillfactor {facts.fillfactor or 100}: pages have no room for a settled row",
            f"ALTER TABLE events SET (fillfactor = {EXPECTED_FILLFACTOR_PERCENT}), "
            "or each of its partitions",
        )
    return ok(f"no index in the way, fillfactor {facts.fillfactor}")


def lists(database: ReachedDatabase) -> Finding:
    """Check that what is pending is followed, for whoever lists it."""
    if not database.inspection.table().exists:
        return unknown(NO_TABLE)
    if missing := database.inspection.missing_triggers():
        return warning(
            f"lists of pending events will be wrong: no trigger {', '.join(missing)} is in force",
            f"create them, or enable them, as in {TRIGGERS_PAGE}; then follow what was missed",
        )
    return ok("triggers follow what is pending")


def privileges(database: ReachedDatabase) -> Finding:
    """Compare what the role may do with what it needs."""
    if not database.inspection.table().exists:
        return unknown(NO_TABLE)
    facts = database.inspection.privileges()
    if facts.missing:
        return failure(f"{facts.role} lacks {', '.join(facts.missing)}", GRANTS)
    if facts.rows_are_filtered:
        return warning(
            f"row-level security hides events from {facts.role}, which are answered not_found",
            f"a policy that shows all of them, or ALTER ROLE {facts.role} BYPASSRLS",
        )
    if facts.excess:
        return warning(
            f"{facts.role} has more than it needs: {', '.join(facts.excess)}",
            f"run workers as the role in {GRANTS_PAGE}",
        )
    return ok(f"{facts.role} has what it needs and no more")


def sessions(database: ReachedDatabase) -> Finding:
    """Check that every slot of every worker can have a session."""
    facts, wanted = database.inspection.server(), database.sessions_wanted
    if facts.pooled:
        return unknown(
            f"workers want up to {wanted} connections of the pooler, which does not tell its limit",
            f"max_client_conn of {wanted} or more, if it is PgBouncer",
        )
    free = facts.sessions_free
    found = f"workers want up to {wanted}, the server has {free} for them"
    if free < wanted:
        return failure(found, "raise max_connections or the role's limit, or lower --concurrency")
    return ok(found)


def clock(database: ReachedDatabase) -> Finding:
    """Compare the server's clock with this machine's."""
    return judge_clock(database.inspection.clock_ahead_seconds())


CHECKS = (
    *(server, durability, standby, commits, migration, table, hot_updates, lists, privileges),
    *(sessions, clock),
)
