"""How Alembic reaches the database.

One migration runs at a time, under an advisory lock, and gives up rather than
queue behind a long transaction and block every writer meanwhile. The lock is the
transaction's, not the session's, which a pooler might lend to others.
"""

from __future__ import annotations

import os

import sqlalchemy
from alembic import context

from db.engine import make_engine
from db.models import Base

MIGRATION_LOCK_ID = 7_215_500_391
LOCK_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 60


def is_modelled(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out of comparisons what is not the model's: partitions, and tables of others."""
    return kind != "table" or name in Base.metadata.tables


def run(connection: sqlalchemy.Connection) -> None:
    """Bring the schema to the requested revision in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=is_modelled,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        connection.execute(
            sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(MIGRATION_LOCK_ID))
        )
        context.run_migrations()


url = context.config.attributes.get("database_url") or os.environ["DATABASE_URL"]
engine = make_engine(
    url,
    application_name="settle migrate",
    statement_timeout_seconds=STATEMENT_TIMEOUT_SECONDS,
    lock_timeout_seconds=LOCK_TIMEOUT_SECONDS,
    poolclass=sqlalchemy.NullPool,
)
with engine.connect() as connection:
    run(connection)
