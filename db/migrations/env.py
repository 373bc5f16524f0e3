"""How Alembic reaches the database.

Whoever migrates does so alone, under an advisory lock, and gives up rather than
queue behind a long transaction and block every writer meanwhile. The lock is a
transaction's, not a session's, which a pooler might lend to others; and that of a
connection of its own, for a migration may be of several transactions.
"""

from __future__ import annotations

import os
import time

import sqlalchemy
from alembic import context

from db.engine import make_engine
from db.errors import TransientDatabaseError
from db.models import Base

MIGRATION_LOCK_ID = 7_215_500_391
LOCK_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 60
# Of another migration, which may have many events to index.
TURN_SECONDS = 60.0
POLL_SECONDS = 0.1


def is_modelled(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out of comparisons what is not the model's: partitions, and tables of others."""
    return kind != "table" or name in Base.metadata.tables


def run(connection: sqlalchemy.Connection) -> None:
    """Bring the schema to the requested revision, each migration in a transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=is_modelled,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def wait_for_turn(guard: sqlalchemy.Connection) -> None:
    """Wait until nobody else migrates, and keep others from it for this transaction.

    Neither whoever waits nor whoever has the lock holds a snapshot meanwhile: an index that
    is built concurrently would wait for it.
    """
    ask = sqlalchemy.select(sqlalchemy.func.pg_try_advisory_xact_lock(MIGRATION_LOCK_ID))
    deadline = time.monotonic() + TURN_SECONDS
    while not guard.scalar(ask):
        guard.rollback()
        if time.monotonic() > deadline:
            raise TransientDatabaseError(f"another migration has run for {TURN_SECONDS:g} s")
        time.sleep(POLL_SECONDS)
    # It needs no snapshot, and so ends that of the statement before.
    guard.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


url = context.config.attributes.get("database_url") or os.environ["DATABASE_URL"]
engine = make_engine(
    url,
    application_name="settle migrate",
    statement_timeout_seconds=STATEMENT_TIMEOUT_SECONDS,
    lock_timeout_seconds=LOCK_TIMEOUT_SECONDS,
    poolclass=sqlalchemy.NullPool,
)
with engine.connect() as guard:
    wait_for_turn(guard)
    with engine.connect() as connection:
        run(connection)
