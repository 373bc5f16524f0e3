"""How Alembic reaches the database.

One migration runs at a time, under an advisory lock, and gives up rather than
queue behind a long transaction and block every writer meanwhile.
"""

from __future__ import annotations

import os

import sqlalchemy
from alembic import context

from db.database import engine_url
from db.models import Base

MIGRATION_LOCK_ID = 7_215_500_391
LOCK_TIMEOUT_MILLISECONDS = 5_000
STATEMENT_TIMEOUT_MILLISECONDS = 60_000


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
        # Parameters cannot be bound in SET; these are constants of this file.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MILLISECONDS}")
        connection.exec_driver_sql(
            f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MILLISECONDS}"
        )
        connection.execute(
            sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(MIGRATION_LOCK_ID))
        )
        context.run_migrations()


url = context.config.attributes.get("database_url") or os.environ["DATABASE_URL"]
engine = sqlalchemy.create_engine(engine_url(url), poolclass=sqlalchemy.NullPool)
with engine.connect() as connection:
    run(connection)
