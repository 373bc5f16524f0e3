"""The connection to PostgreSQL, and a batch applied in one transaction.

`Database` is the only way to the events table. It owns the pool and turns the
driver's exceptions into those of `db.errors`; it does not retry, and it does
not decide what an outcome says about a row.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from db.creating import create_events
from db.engine import make_engine
from db.errors import TransientDatabaseError, translate_error
from db.facts import WaitingFacts
from db.inspection_queries import COMMITS_WAITING
from db.rows import Created, Creation, EventRow, Rows, Settlement
from db.statements import read_events, read_settlers, settle_pending_events
from db.transactions import transaction, wait_like_a_writer
from db.tries import Tries

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import sqlalchemy

# Connections of one process at most: a slot uses one while it applies a batch.
POOL_SIZE = 20
# A batch without updates.
NOTHING: dict[str, list[str]] = {
    "event_ids": [],
    "statuses": [],
    "account_ids": [],
    "message_ids": [],
}
# Each row of a batch by its id, whatever a planner believes of the table. A plan that is kept
# may be of a time when the table was small, and read all of it for each row once it has grown.
# One that is made for the very batch reads all of a partitioned table, unless it may not.
BY_ID = {
    "plan_cache_mode": "force_custom_plan",
    "enable_seqscan": "off",
    # What is forbidden alike is chosen by its costs.
    "enable_indexscan": "on",
    "enable_nestloop": "on",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # Costs that are forbidden look as if compiling would pay.
    "jit": "off",
}
COMMITS_WAIT = "commits wait for a synchronous standby"
READ_ONLY = "25006: the server takes no writes"


class Database:
    """The events table of one PostgreSQL database, for one process."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = POOL_SIZE,
        statement_timeout_seconds: float = 30,
        lock_timeout_seconds: float = 10,
    ) -> None:
        """Prepare a pool; nothing is connected yet.

        Args:
            url: See `db.engine.engine_url`.
            pool_size: Connections at most.
            statement_timeout_seconds: After which PostgreSQL gives a statement up.
            lock_timeout_seconds: How long to wait for a row that another session holds.
        """
        self.engine = make_engine(
            url,
            application_name="settle",
            statement_timeout_seconds=statement_timeout_seconds,
            lock_timeout_seconds=lock_timeout_seconds,
            planning=BY_ID,
            pool_size=pool_size,
            max_overflow=0,
        )

    def settle_pending_events(
        self,
        settlements: Sequence[Settlement],
        *,
        with_payload: bool = False,
        accounts: Collection[str] | None = None,
    ) -> Rows:
        """Settle those events of a batch that are pending, in one transaction.

        An event that is pending afterwards, though a settlement applies to it, is one that
        the database keeps from being changed: by a trigger or a policy that says nothing.

        Args:
            settlements: In the order in which they arrived; the first of an event wins.
                Without any the statement is executed too, and fails where it would for all.
            with_payload: Read the payload too.
            accounts: As if there were no events but theirs; None for all.

        Returns:
            Every event of the batch that exists, by id, as committed.

        Raises:
            TransientDatabaseError: Nothing was applied, or it is not known
                whether it was; applying the same batch again is safe.
            BadDataError: Nothing was applied; a value of the batch is to blame.
            DatabaseError: Nothing was applied; an operator must act.
        """
        rows, tries = Rows(), Tries()
        remaining = list(settlements)
        with transaction(self.engine) as connection:
            while True:
                came = _settle_once(
                    connection, remaining, with_payload=with_payload, accounts=accounts
                )
                rows.update(came)
                rows.changed += came.changed
                remaining = tries.worth_another(remaining, rows)
                if not remaining:
                    break
            if not rows.changed:
                wait_like_a_writer(connection)
        return rows

    def read_events(
        self,
        event_ids: Sequence[str],
        *,
        with_payload: bool = False,
        accounts: Collection[str] | None = None,
    ) -> dict[str, EventRow]:
        """Read events as they stand.

        Args:
            event_ids: Of which.
            with_payload: Read the payload too.
            accounts: As if there were no events but theirs; None for all.

        Raises:
            TransientDatabaseError: Also where the server takes no writes: what it says
                may be of the past.
            DatabaseError: See `db.errors`.
        """
        with self.reading() as connection:
            return _read(connection, event_ids, with_payload=with_payload, accounts=accounts)

    @contextmanager
    def reading(self) -> Iterator[sqlalchemy.Connection]:
        """Give a connection to read with: what it says is of the present.

        Raises:
            TransientDatabaseError: Also where the server takes no writes.
            DatabaseError: See `db.errors`.
        """
        try:
            with self.engine.connect() as connection:
                self._refuse_read_only(connection)
                yield connection
        except SQLAlchemyError as error:
            raise translate_error(error) from error

    def create_events(self, creations: Sequence[Creation]) -> list[Created]:
        """Create pending events, all in one transaction: see `db.creating`.

        Raises:
            TransientDatabaseError: Nothing was created, or it is not known whether it was;
                creating the same again is safe.
            BadDataError: Nothing was created; a value is to blame.
            NotAllowedError: Nothing was created; the role may not.
            DatabaseError: Nothing was created; an operator must act.
        """
        with transaction(self.engine) as connection:
            created = create_events(connection, creations)
            if not any(each.is_new for each in created):
                wait_like_a_writer(connection)
        return created

    def read_settlers(self, event_ids: Sequence[str]) -> dict[str, str]:
        """Read by which messages events were settled, after whoever is settling them now.

        Args:
            event_ids: Of which; those that are pending, or unknown, are left out.

        Raises:
            DatabaseError: See `db.errors`.
        """
        with transaction(self.engine) as connection:
            read = connection.execute(read_settlers(), {"event_ids": list(event_ids)})
            settlers = {id_: settled_by for id_, settled_by in read.all() if settled_by is not None}
            # Locks are in the log, but there may be none.
            wait_like_a_writer(connection)
        return settlers

    def check(self) -> None:
        """See that updates can be settled, by settling none.

        The server takes writes, the table and the rights are there, and no commit waits for
        a standby for too long.

        Raises:
            DatabaseError: See `db.errors`.
        """
        try:
            with self.engine.connect() as connection:
                connection.execute(settle_pending_events(with_payload=True), NOTHING)
                waiting = connection.exec_driver_sql(COMMITS_WAITING).one()
        except SQLAlchemyError as error:
            raise translate_error(error) from error
        if WaitingFacts(*waiting).for_too_long:
            raise TransientDatabaseError(COMMITS_WAIT)

    def _refuse_read_only(self, connection: sqlalchemy.Connection) -> None:
        """Refuse a server whose place another may have taken: it would speak of the past."""
        if connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on":
            connection.invalidate()
            # Those that are not in use are no better.
            self.engine.dispose()
            error = TransientDatabaseError(READ_ONLY)
            error.connection_was_lost = True
            raise error

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _settle_once(
    connection: sqlalchemy.Connection,
    settlements: Sequence[Settlement],
    *,
    with_payload: bool,
    accounts: Collection[str] | None,
) -> Rows:
    columns = zip(*settlements, strict=True) if settlements else ((), (), (), ())
    event_ids, statuses, account_ids, message_ids = columns
    arrays = {
        "event_ids": event_ids,
        "statuses": statuses,
        "account_ids": account_ids,
        "message_ids": message_ids,
        **_accounts(accounts),
    }
    statement = settle_pending_events(with_payload=with_payload, of_accounts=accounts is not None)
    settled = connection.execute(statement, arrays)
    rows = Rows({row[0]: EventRow(*row) for row in settled.all()})
    # A trigger may undo what is asked for.
    rows.changed = sum(row.status is not None for row in rows.values())
    others = [event_id for event_id in dict.fromkeys(event_ids) if event_id not in rows]
    if others:
        rows.update(_read(connection, others, with_payload=with_payload, accounts=accounts))
    return rows


def _read(
    connection: sqlalchemy.Connection,
    event_ids: Sequence[str],
    *,
    with_payload: bool,
    accounts: Collection[str] | None,
) -> dict[str, EventRow]:
    statement = read_events(with_payload=with_payload, of_accounts=accounts is not None)
    read = connection.execute(statement, {"event_ids": list(event_ids), **_accounts(accounts)})
    return {row[0]: EventRow(*row) for row in read.all()}


def _accounts(accounts: Collection[str] | None) -> dict[str, list[str]]:
    return {} if accounts is None else {"accounts": list(accounts)}
