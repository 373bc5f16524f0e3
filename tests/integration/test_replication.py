"""Nothing is answered that a synchronous standby may not have."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from db import Creation, Database, Settlement, TransientDatabaseError
from db.loading import NewEvent, load_events
from tasks.applying import apply
from tests.pgbouncer import in_front_of
from tests.standby import WAITING, Pair, alter, follow_synchronously, pair, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

END = "SELECT {}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
TRANSACTIONS = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
CREATION = Creation("ev_1", "a", "created", "{}", None)


@pytest.fixture
def servers() -> Iterator[Pair]:
    """Give a primary, and a standby that it waits for."""
    with pair() as servers:
        load_events(servers.primary.url, [NewEvent("ev_1", "a"), NewEvent("ev_2", "a")])
        follow_synchronously(servers.primary)
        yield servers


@pytest.fixture
def database(servers: Pair) -> Iterator[Database]:
    """Give the primary's table."""
    with closing(Database(servers.primary.url)) as database:
        yield database


@pytest.fixture
def threads(servers: Pair) -> Iterator[ThreadPoolExecutor]:
    """Give threads that wait, until the standby is there."""
    with ThreadPoolExecutor(4) as threads:
        yield threads
        servers.standby.start()


def settle(database: Database, message_id: str = "m") -> str | None:
    """Settle an event and return who has."""
    settlement = Settlement("ev_1", "completed", None, message_id)
    return database.settle_pending_events([settlement])["ev_1"].settled_by


def owner(servers: Pair) -> psycopg.Connection:
    """Connect as who may see and end the sessions of others, and waits for no standby."""
    options = "-c synchronous_commit=local"
    return psycopg.connect(servers.primary.url, options=options, autocommit=True)


def settle_here_alone(
    servers: Pair, database: Database, threads: ThreadPoolExecutor, end: str
) -> Future[str | None]:
    """Let an event be settled on a primary whose standby is away, and the wait be ended."""
    servers.standby.stop(immediate=True)
    settling = threads.submit(settle, database)
    wait_for(servers.primary, WAITING, 1)
    with owner(servers) as anybody:
        anybody.execute(END.format(end).encode())
    return settling


def wait_until_it_waits(servers: Pair, asked: Future[Any]) -> None:
    """See that something waits for the standby, and has no answer."""
    wait_for(servers.primary, WAITING, 1)
    assert not asked.done()


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_commit_whose_wait_was_ended_is_none_that_is_known_of(
    servers: Pair, database: Database, threads: ThreadPoolExecutor, end: str
) -> None:
    """The server has said COMMIT to one whose wait was cancelled."""
    settling = settle_here_alone(servers, database, threads, end)
    with pytest.raises(TransientDatabaseError) as caught:
        settling.result()
    assert caught.value.connection_was_lost
    again = threads.submit(settle, database)
    wait_until_it_waits(servers, again)
    servers.standby.start()
    assert again.result() == "m"
    assert settle(database) == "m"


@pytest.mark.parametrize("way", ["straight", pytest.param("pooled", marks=pytest.mark.pgbouncer)])
def test_a_cancelled_wait_is_heard_of_whatever_sessions_are_told(
    servers: Pair, threads: ThreadPoolExecutor, way: str
) -> None:
    """It is a warning, and a database may be set up to let clients hear of errors alone."""
    with owner(servers) as anybody, ExitStack() as stack:
        anybody.execute("ALTER DATABASE postgres SET client_min_messages = error")
        url = servers.primary.url
        if way == "pooled":
            url = stack.enter_context(in_front_of(url)).url
        database = stack.enter_context(closing(Database(url)))
        settling = settle_here_alone(servers, database, threads, "pg_cancel_backend")
        error = settling.exception()
        assert isinstance(error, TransientDatabaseError)
        assert error.connection_was_lost


def create_again(database: Database) -> Any:
    """Create an event that is there."""
    return database.create_events([CREATION])


def look_up_who_settled(database: Database) -> Any:
    """Look up who settled events that are not there either."""
    return database.read_settlers(["ev_1", "ev_3"])


def look_up_who_settled_nothing(database: Database) -> Any:
    """Look up who settled an event that is not there."""
    return database.read_settlers(["ev_3"])


def settle_for_another(database: Database) -> Any:
    """Settle an event that is settled."""
    return settle(database, "other")


def settle_what_is_not_there(database: Database) -> Any:
    """Settle an event that nobody has heard of."""
    return database.settle_pending_events([Settlement("ev_3", "failed", None, "m")])


@pytest.mark.parametrize(
    "ask",
    [
        settle,
        settle_for_another,
        settle_what_is_not_there,
        look_up_who_settled,
        look_up_who_settled_nothing,
        create_again,
    ],
    ids=lambda ask: ask.__name__,
)
def test_what_this_server_alone_may_have_is_no_answer(
    servers: Pair, database: Database, threads: ThreadPoolExecutor, ask: Callable[[Database], Any]
) -> None:
    """It would be undone by a failover: who has only read waits like who has written."""
    settle_here_alone(servers, database, threads, "pg_cancel_backend").exception()
    asked = threads.submit(ask, database)
    wait_until_it_waits(servers, asked)
    servers.standby.start()
    assert asked.exception() is None


@pytest.mark.parametrize(
    "writing",
    ["PERFORM txid_current();", "INSERT INTO notes VALUES (1);"],
    ids=["a transaction id", "a row that no standby has"],
)
def test_what_a_trigger_does_is_no_reason_not_to_wait(
    servers: Pair, database: Database, threads: ThreadPoolExecutor, writing: str
) -> None:
    """One of statements fires though no row is changed; what it does may need no log."""
    with owner(servers) as anybody:
        anybody.execute("CREATE UNLOGGED TABLE notes (n int)")
        anybody.execute(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {writing} RETURN NULL; END $$".encode()
        )
        anybody.execute(
            "CREATE TRIGGER note BEFORE UPDATE ON events FOR EACH STATEMENT EXECUTE FUNCTION note()"
        )
    settle_here_alone(servers, database, threads, "pg_cancel_backend").exception()
    asked = threads.submit(settle, database)
    wait_until_it_waits(servers, asked)
    servers.standby.start()
    assert asked.result() == "m"


def test_what_is_looked_up_after_a_refusal_is_waited_for_too(
    servers: Pair, database: Database, threads: ThreadPoolExecutor
) -> None:
    """A batch that is parted is read in more than one transaction."""
    with owner(servers) as anybody:
        anybody.execute("ALTER TABLE events ADD CHECK (settled_by <> 'no')")
    servers.standby.stop(immediate=True)
    settlements = [Settlement("ev_2", "completed", None, "no")]
    applying = threads.submit(apply, settlements, database)
    wait_until_it_waits(servers, applying)
    servers.standby.start()
    (refused,) = applying.result().refused
    assert refused.event_id == "ev_2"


def test_a_reader_writes_nothing_where_no_commit_waits(servers: Pair, database: Database) -> None:
    """Nor is there a transaction that vacuum would have to look at one day."""
    alter(servers.primary, "RESET synchronous_standby_names")
    wait_for(servers.primary, "SHOW synchronous_standby_names", "")
    settle(database)
    with owner(servers) as anybody:
        before = anybody.execute(TRANSACTIONS).fetchone()
        settle(database)
        look_up_who_settled_nothing(database)
        create_again(database)
        assert anybody.execute(TRANSACTIONS).fetchone() == before


def test_a_message_that_comes_again_heals_what_a_failover_has_undone(
    servers: Pair, database: Database
) -> None:
    """Of a standby that nobody waited for; unless another message of that event comes first."""
    alter(servers.primary, "RESET synchronous_standby_names")
    wait_for(servers.primary, "SHOW synchronous_standby_names", "")
    servers.standby.stop()
    events = ["ev_1", "ev_2"]
    updates = [Settlement(id_, "completed", None, "m") for id_ in events]
    told = database.settle_pending_events(updates)
    servers.primary.stop(immediate=True)
    servers.standby.start().promote()
    with closing(Database(servers.standby.url)) as promoted:
        assert [promoted.read_events(events)[id_].status for id_ in events] == [None, None]
        promoted.settle_pending_events([Settlement("ev_2", "failed", None, "other")])
        again = promoted.settle_pending_events(updates)
    assert [told[id_].settled_by for id_ in events] == ["m", "m"]
    assert [again[id_].settled_by for id_ in events] == ["m", "other"]
