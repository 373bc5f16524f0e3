"""Take up the events that are pending already, and index all events for listing.

Nobody waits for it: rows are only read, and indexes are built concurrently, of each
partition by itself where there are any. What was built in part by a migration that was
interrupted is dropped, and built anew.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

from db.sessions import is_pooled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger("db.migrate")

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEXES = {
    "events_by_account": "account_id, created_at, id",
    "events_by_time": "created_at, id",
}
TAKE_UP = """
INSERT INTO pending_events (account_id, created_at, id)
SELECT account_id, created_at, id FROM events WHERE completed_at IS NULL AND failed_at IS NULL
ON CONFLICT DO NOTHING
"""
# Whoever wrote while they were taken up, or sees only what was before, has found nothing to delete,
# and is waited for, as CREATE INDEX CONCURRENTLY does it: what it leaves is dropped by the next
# migration. What has no partitions is no tree; what is prepared has no process; vacuum has no role.
OLDER = """
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE pid IS DISTINCT FROM pg_backend_pid() AND (
  mode = 'RowExclusiveLock'
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (relation = 'events'::regclass
       OR relation IN (SELECT relid FROM pg_partition_tree('events')))
  OR pid IN (
    SELECT pid FROM pg_stat_activity WHERE datname = current_database()
    AND usesysid IS NOT NULL AND backend_xmin IS NOT NULL))
"""
LASTING = """
SELECT DISTINCT coalesce('pid ' || pid, 'one that is prepared') FROM pg_locks
WHERE virtualtransaction = ANY (:older) ORDER BY 1
"""
POLL_SECONDS = 0.02
# After which it says for whom it waits, and then after twice as long each time.
SAY_AFTER_SECONDS = 1.0
IS_PARTITIONED = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'events'::regclass"
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"
IS_ATTACHED = "SELECT relispartition FROM pg_class WHERE oid = to_regclass(:name)"


def upgrade() -> None:
    """Do it in steps, each of which is committed."""
    with op.get_context().autocommit_block():
        # A session that is lent is not set; there the server's own timeout holds.
        if not is_pooled(op.get_bind()):
            op.execute("SET statement_timeout = 0")
            # Nobody waits behind what waits here, for transactions that began before.
            op.execute("SET lock_timeout = 0")
        # Whoever is kept from seeing some of them would take up the others alone.
        op.execute(f"SET LOCAL row_security = off; {TAKE_UP}")
        _wait_for(op.get_bind().scalars(sa.text(OLDER)).all())
        op.execute("ANALYZE pending_events")
        for name, columns in INDEXES.items():
            _create_index(name, columns)


def _wait_for(older: Sequence[str]) -> None:
    """Wait until transactions have ended.

    Nothing is locked meanwhile: what one of them asks for next might wait for this, unseen by
    the server. So it is asked again and again, each time in a transaction of its own.
    """
    said_at, pause = time.monotonic(), SAY_AFTER_SECONDS
    while lasting := op.get_bind().scalars(sa.text(LASTING), {"older": list(older)}).all():
        if time.monotonic() > said_at + pause:
            said_at, pause = time.monotonic(), 2 * pause
            logger.warning(
                "the migration waits for older transactions to end: %s", ", ".join(lasting)
            )
        time.sleep(POLL_SECONDS)


def _create_index(name: str, columns: str) -> None:
    if not op.get_bind().scalar(sa.text(IS_PARTITIONED)):
        _create_concurrently(name, "events", columns)
        return
    if op.get_bind().scalar(sa.text(IS_VALID), {"name": name}):
        return
    _briefly(f"CREATE INDEX IF NOT EXISTS {name} ON ONLY events ({columns})")
    for part in _partitions():
        own_name = f"{part}_{name.removeprefix('events_')}"
        if not op.get_bind().scalar(sa.text(IS_ATTACHED), {"name": own_name}):
            _create_concurrently(own_name, part, columns)
            _briefly(f"ALTER INDEX {name} ATTACH PARTITION {own_name}")


def _briefly(statement: str) -> None:
    """Do what others queue behind while it waits: it gives up soon, and is done by the next run."""
    # One transaction, so that it holds behind a pooler too.
    op.execute(f"SET LOCAL lock_timeout = '5s'; {statement}")


def _partitions() -> Iterator[str]:
    leaves = "SELECT relid::regclass::text FROM pg_partition_tree('events') WHERE isleaf"
    yield from op.get_bind().scalars(sa.text(leaves)).all()


def _create_concurrently(name: str, table: str, columns: str) -> None:
    is_valid = op.get_bind().scalar(sa.text(IS_VALID), {"name": name})
    if is_valid is False:
        op.execute(f"DROP INDEX CONCURRENTLY {name}")
    if not is_valid:
        op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {table} ({columns})")


def downgrade() -> None:
    """Drop the indexes; the table is dropped with its own migration."""
    for name in INDEXES:
        op.drop_index(name)
