"""Follow which events are pending in a table beside theirs, so that listing them is fast.

Settling stays HOT (docs/adr/0019-listing-pending-events.md). Whoever inserts, settles or
deletes events needs no new privilege: the function runs as the owner. Creating the
triggers waits for the writers there are, for as long as the lock timeout; then it is instant.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Rows come and go here as fast as events are settled: a scan is to meet few dead ones.
STORAGE = {
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 10_000,
    "autovacuum_vacuum_insert_scale_factor": 0.2,
    "autovacuum_analyze_scale_factor": 0.1,
}
# A nested loop, whatever a plan was made for: it looks for the rows of a statement by key.
FUNCTION = """
CREATE FUNCTION follow_pending_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {schema}, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    TRUNCATE pending_events;
  ELSIF TG_OP = 'DELETE' THEN
    DELETE FROM pending_events AS p USING old_events AS e
    WHERE p.account_id = e.account_id AND p.created_at = e.created_at AND p.id = e.id;
  ELSE
    IF TG_OP = 'UPDATE' THEN
      DELETE FROM pending_events AS p USING new_events AS e
      WHERE p.account_id = e.account_id AND p.created_at = e.created_at AND p.id = e.id
        AND (e.completed_at IS NOT NULL OR e.failed_at IS NOT NULL);
    END IF;
    INSERT INTO pending_events (account_id, created_at, id)
    SELECT account_id, created_at, id FROM new_events
    WHERE completed_at IS NULL AND failed_at IS NULL
    ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$
"""
TRIGGERS = {
    "events_pending_insert": "INSERT ON events REFERENCING NEW TABLE AS new_events",
    "events_pending_update": "UPDATE ON events REFERENCING NEW TABLE AS new_events",
    "events_pending_delete": "DELETE ON events REFERENCING OLD TABLE AS old_events",
    "events_pending_truncate": "TRUNCATE ON events",
}
# Whoever may read events may list them. Its columns are events' own.
GRANT = """
DO $$
DECLARE
  reader text;
BEGIN
  FOR reader IN
    SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(rolname) END
    FROM pg_class, aclexplode(relacl) LEFT JOIN pg_roles ON pg_roles.oid = grantee
    WHERE pg_class.oid = 'events'::regclass AND privilege_type = 'SELECT'
  LOOP
    EXECUTE 'GRANT SELECT ON pending_events TO ' || reader;
  END LOOP;
END $$
"""


def upgrade() -> None:
    """Create the table, and what follows events from now on."""
    op.create_table(
        "pending_events",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        postgresql_with=STORAGE,
    )
    op.create_index("pending_events_by_time", "pending_events", ["created_at", "id"])
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    op.execute(FUNCTION.format(schema=schema))
    op.execute("REVOKE ALL ON FUNCTION follow_pending_events() FROM PUBLIC")
    op.execute(GRANT)
    for name, when in TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER {name} AFTER {when} "
            "FOR EACH STATEMENT EXECUTE FUNCTION follow_pending_events()"
        )


def downgrade() -> None:
    """Follow no more."""
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON events")
    op.execute("DROP FUNCTION follow_pending_events()")
    op.drop_table("pending_events")
