"""Look up in the table of pending events what a statement has settled, each by its key.

A join may begin with all that is pending: where the server has looked at the table when
nothing was, it believes that nothing is, and plans so until it looks again. Replacing the
function waits for nobody, and nobody waits for it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# OFFSET keeps a planner from all but one order: of each row of the statement the key. A row is
# where the snapshot has it, for none is ever updated.
BY_KEY = """
DELETE FROM pending_events WHERE ctid = ANY (ARRAY(
      SELECT found.ctid FROM {changed} AS e CROSS JOIN LATERAL (
        SELECT p.ctid FROM pending_events AS p
        WHERE p.account_id = e.account_id AND p.created_at = e.created_at AND p.id = e.id
        OFFSET 0) AS found
      WHERE {condition}))
"""
JOINED = """
DELETE FROM pending_events AS p USING {changed} AS e
    WHERE p.account_id = e.account_id AND p.created_at = e.created_at AND p.id = e.id
      AND {condition}
"""
FUNCTION = """
CREATE OR REPLACE FUNCTION {schema}.follow_pending_events() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = {schema}, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    TRUNCATE pending_events;
  ELSIF TG_OP = 'DELETE' THEN
    {delete_gone};
  ELSE
    IF TG_OP = 'UPDATE' THEN
      {delete_settled};
    END IF;
    INSERT INTO pending_events (account_id, created_at, id)
    SELECT account_id, created_at, id FROM new_events
    WHERE completed_at IS NULL AND failed_at IS NULL
    ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$
"""
SCHEMA = """
SELECT quote_ident(nspname) FROM pg_trigger
JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_namespace ON pg_namespace.oid = pronamespace
WHERE tgrelid = 'events'::regclass AND proname = 'follow_pending_events' LIMIT 1
"""

# Those that nobody else would drop, as they were settled or deleted while they were taken up. To
# find them takes as long as it takes. They are dropped while nobody writes, for an event that is
# pending again finds its row there, and leaves it: others queue behind that lock, so it is soon
# given up. OFFSET keeps a planner, who may believe that there are few, from comparing each with
# each. Whoever is kept from seeing some events is told so.
IS_SETTLED = """
NOT EXISTS (
  SELECT FROM events AS e
  WHERE e.account_id = p.account_id AND e.created_at = p.created_at AND e.id = p.id
  AND e.completed_at IS NULL AND e.failed_at IS NULL OFFSET 0)
"""
DROP_SETTLED = """
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '5s';
SET LOCAL row_security = off;
SET LOCAL enable_seqscan = off;
DO $$
DECLARE
  settled {schema}.pending_events[] := ARRAY(
    SELECT p FROM {schema}.pending_events AS p WHERE {is_settled});
BEGIN
  IF settled <> ARRAY[]::{schema}.pending_events[] THEN
    LOCK TABLE {schema}.pending_events IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM {schema}.pending_events AS p USING unnest(settled) AS s
    WHERE p.account_id = s.account_id AND p.created_at = s.created_at AND p.id = s.id
    AND {is_settled};
  END IF;
END $$
"""


def upgrade() -> None:
    """Replace the function by one that looks rows up."""
    schema = _replace(BY_KEY)
    if schema is not None:
        op.execute(DROP_SETTLED.format(schema=schema, is_settled=IS_SETTLED))


def downgrade() -> None:
    """Replace it by the one there was."""
    _replace(JOINED)


def _replace(delete: str) -> str | None:
    """Return the schema of what the triggers call, whatever the search path is now."""
    schema: str | None = op.get_bind().scalar(sa.text(SCHEMA))
    if schema is None:
        # Somebody has dropped all triggers, which the doctor says.
        return None
    delete = delete.strip()
    is_settled = "(e.completed_at IS NOT NULL OR e.failed_at IS NOT NULL)"
    op.execute(
        FUNCTION.format(
            schema=schema,
            delete_gone=delete.format(changed="old_events", condition="true"),
            delete_settled=delete.format(changed="new_events", condition=is_settled),
        )
    )
    return schema
