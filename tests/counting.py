"""PostgreSQL's statistics of a table, once all of them are there.

A session hands in what it has counted about once a second, and the rest when it ends; a client
that closes its connection does not wait for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.service import eventually

if TYPE_CHECKING:
    import psycopg

OTHERS = """
SELECT pid, query FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend'
AND pid <> pg_backend_pid()
"""


def wait_until_counted(owner: psycopg.Connection) -> None:
    """Wait until every other session of the database has ended, and so has been counted.

    Args:
        owner: With autocommit; what it has done itself is counted too.
    """
    eventually(
        lambda: owner.execute(OTHERS).fetchone() is None, lambda: owner.execute(OTHERS).fetchall()
    )
    owner.execute("SELECT pg_stat_force_next_flush()")
