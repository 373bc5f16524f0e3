"""Create the events table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; its only index is the primary key's, so settling stays HOT."""
    op.create_table(
        "events",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("failed_at", sa.DateTime(timezone=True)),
        sa.Column("settled_by", sa.Text),
        sa.CheckConstraint("completed_at IS NULL OR failed_at IS NULL", name="events_settled_once"),
        postgresql_with={"fillfactor": 45},
    )


def downgrade() -> None:
    """Drop the table and every event in it."""
    op.drop_table("events")
