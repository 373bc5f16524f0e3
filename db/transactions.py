"""A transaction whose commit means what the server was set up to let it mean.

Where a commit waits for a synchronous standby, what is answered after it outlives the
primary. Two things get past that wait, and a failover may undo what was answered then:

- A wait that somebody cancels. The server says COMMIT all the same, and warns.
- A transaction that has written nothing waits for nobody, and may have read what another
  has committed here alone: its wait was cancelled, its session ended, its server restarted.
  So may one on a primary that was cut off from its standby, and has been replaced.

The first is an error here, the second is made to wait as if it had written.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from db.errors import TransientDatabaseError, translate_error
from db.sessions import WAIT_CANCELLED

if TYPE_CHECKING:
    from collections.abc import Iterator

ONLY_HERE = "committed, perhaps here alone: the wait for the synchronous standby was cancelled"
# An empty message in the log, which only a commit that waits like any other carries away. To
# have a transaction id is not enough: a trigger may have taken one, and nothing is in the log.
WAIT_LIKE_A_WRITER = sqlalchemy.text("""
SELECT CASE WHEN current_setting('synchronous_standby_names') <> ''
    AND current_setting('synchronous_commit') NOT IN ('off', 'local')
  THEN pg_logical_emit_message(true, 'settle', '') END
""")


@contextmanager
def transaction(engine: sqlalchemy.Engine) -> Iterator[sqlalchemy.Connection]:
    """Give a connection in a transaction, which is committed at the end of the block.

    Raises:
        TransientDatabaseError: Nothing was committed, or it is not known whether it was, or
            whether a standby has it; the same may be done again.
        DatabaseError: See `db.errors`.
    """
    try:
        with engine.connect() as connection:
            connection.info.pop(WAIT_CANCELLED, None)
            with connection.begin():
                yield connection
            was_cancelled = connection.info.pop(WAIT_CANCELLED, False)
    except SQLAlchemyError as error:
        raise translate_error(error) from error
    if was_cancelled:
        # As after a connection that was lost in the commit: nobody knows.
        unknown = TransientDatabaseError(ONLY_HERE)
        unknown.connection_was_lost = True
        raise unknown


def wait_like_a_writer(connection: sqlalchemy.Connection) -> None:
    """Let a transaction that has only read wait in its commit for those who have written.

    It costs a round trip, and a write only where commits wait for a synchronous standby.
    """
    connection.execute(WAIT_LIKE_A_WRITER)
