"""A replica that lists are read from: what it shows, and when it is not read."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import make_url

from cli.embedded import Postgres, temporary_folder
from db import Database, DatabaseError, NotAllowedError, Settlement, TransientDatabaseError
from db.listing import Listing, ListPosition, list_events
from db.loading import NewEvent, load_events
from db.replicas import NO_REPLICA, NOT_OF_THIS, Replica
from tests.accounts import postgres_role
from tests.pgbouncer import in_front_of
from tests.service import eventually
from tests.standby import Pair, alter, pair, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.storms

IDS = [f"ev_{number}" for number in range(6)]
REPLAYED = "SELECT pg_last_wal_replay_lsn() >= '{}'::pg_lsn"


@pytest.fixture
def servers() -> Iterator[Pair]:
    """Give a primary with pending events, and a standby that follows."""
    with pair() as servers:
        load_events(servers.primary.url, [NewEvent(id_, "a") for id_ in IDS])
        catch_up(servers)
        yield servers


@pytest.fixture
def database(servers: Pair) -> Iterator[Database]:
    """Give the primary's table."""
    with closing(Database(servers.primary.url)) as database:
        yield database


@pytest.fixture
def replica(servers: Pair) -> Iterator[Replica]:
    """Give the replica, looked at."""
    with closing(follow(servers)) as replica:
        yield replica


def follow(servers: Pair, url: str = "", *, max_lag_seconds: float = 3_600) -> Replica:
    """Look at a replica for the first time, after its primary."""
    url = url or servers.standby.url
    replica = Replica(url, servers.primary.url, max_lag_seconds=max_lag_seconds)
    replica.note_primary()
    catch_up(servers)
    replica.look()
    return replica


def catch_up(servers: Pair) -> None:
    """Wait until the standby has all that the primary has written."""
    with psycopg.connect(servers.primary.url) as primary:
        row = primary.execute("SELECT pg_current_wal_lsn()").fetchone()
    assert row
    wait_for(servers.standby, REPLAYED.format(row[0]), True)


def on(url: str, *statements: str) -> None:
    """Do something as the owner."""
    with psycopg.connect(url, autocommit=True) as owner:
        for statement in statements:
            owner.execute(statement.encode())


def pause(servers: Pair) -> None:
    """Let the standby replay nothing more."""
    on(servers.standby.url, "SELECT pg_wal_replay_pause()")
    wait_for(servers.standby, "SELECT pg_get_wal_replay_pause_state()", "paused")


def resume(servers: Pair) -> None:
    """Let it go on, to the end."""
    on(servers.standby.url, "SELECT pg_wal_replay_resume()")
    catch_up(servers)


def settle(database: Database, *ids: str, message_id: str = "m") -> dict[str, Any]:
    """Settle events."""
    return dict(
        database.settle_pending_events(
            [Settlement(id_, "completed", None, message_id) for id_ in ids]
        )
    )


def pending(server: Any) -> list[str]:
    """List the pending events."""
    return [row.id for row in list_events(server, Listing(100, state="pending")).rows]


def test_a_replica_that_lags_shows_what_was(
    servers: Pair, database: Database, replica: Replica
) -> None:
    """A settled event as pending, a new one not at all; who settles is told the truth."""
    pause(servers)
    settle(database, "ev_0")
    load_events(servers.primary.url, [NewEvent("new", "a")])
    assert pending(replica) == IDS
    assert pending(database) == [*IDS[1:], "new"]
    assert settle(database, "ev_0", message_id="other")["ev_0"].settled_by == "m"
    resume(servers)
    assert pending(replica) == [*IDS[1:], "new"]


def test_a_replica_that_lags_too_much_is_not_read(servers: Pair, database: Database) -> None:
    """By what the primary had written, not by a clock; it is read again when it has caught up."""
    with closing(follow(servers, max_lag_seconds=0.5)) as replica:
        pause(servers)
        settle(database, "ev_0")

        eventually(lambda: is_behind(replica))
        with pytest.raises(TransientDatabaseError, match="behind"):
            pending(replica)
        resume(servers)
        replica.note_primary()
        catch_up(servers)
        assert pending(replica) == IDS[1:]


def is_behind(replica: Replica) -> bool:
    """Look once more, after the primary."""
    replica.note_primary()
    try:
        replica.look()
    except TransientDatabaseError as error:
        return "s behind" in str(error)
    return False


def walk(*sources: Any) -> list[str]:
    """Go from page to page, each of two events, and each read from the next of several servers."""
    seen: list[str] = []
    after: ListPosition | None = None
    for number in range(100):
        source = sources[number % len(sources)]
        page = list_events(source, Listing(2, state="pending", after=after))
        seen += [row.id for row in page.rows]
        if (after := page.last) is None:
            break
    return seen


@pytest.mark.parametrize("first_is_old", [True, False], ids=["old first", "new first"])
def test_a_walk_over_servers_of_different_age_misses_nothing_that_all_of_them_show(
    servers: Pair, database: Database, replica: Replica, first_is_old: bool
) -> None:
    """What was pending throughout is seen once; what changed in between is seen or not."""
    pause(servers)
    settle(database, "ev_2")
    load_events(servers.primary.url, [NewEvent("new", "a")])
    sources = [replica, database] if first_is_old else [database, replica]
    seen = walk(*sources)
    assert len(seen) == len(set(seen))
    assert set(IDS) - {"ev_2"} <= set(seen) <= {*IDS, "new"}
    resume(servers)


def test_a_replica_that_was_promoted_is_none(servers: Pair, replica: Replica) -> None:
    """Whoever stands alone would show the same for ever."""
    assert pending(replica) == IDS
    servers.standby.promote()
    for question in (replica.look, lambda: pending(replica)):
        with pytest.raises(TransientDatabaseError, match=NO_REPLICA) as caught:
            question()
        assert caught.value.connection_was_lost


def test_a_replica_that_follows_nobody_any_more_grows_old(
    servers: Pair, database: Database
) -> None:
    """It is in recovery for ever, and shows what was; the primary writes on."""
    with closing(follow(servers, max_lag_seconds=1)) as replica:
        alter(servers.standby, "SET primary_conninfo = ''")
        wait_for(servers.standby, "SELECT count(*) FROM pg_stat_wal_receiver", 0)

        settle(database, "ev_0")
        eventually(lambda: is_behind(replica))


def test_a_replica_of_another_primary_is_not_read(servers: Pair) -> None:
    """One that has what the primary has not, as has one that was ahead of what was promoted."""
    on(servers.primary.url, *["SELECT pg_switch_wal()", "SELECT pg_current_xact_id()"] * 3)
    catch_up(servers)
    with temporary_folder() as folder, Postgres(folder / "other") as other:
        replica = Replica(servers.standby.url, other.url, max_lag_seconds=3_600)
        with closing(replica):
            for _ in range(2):
                with pytest.raises(TransientDatabaseError):
                    replica.look()
                replica.note_primary()
            with pytest.raises(TransientDatabaseError, match=NOT_OF_THIS):
                replica.look()
            with pytest.raises(TransientDatabaseError, match="behind"):
                pending(replica)


def test_the_primary_may_be_away(servers: Pair, replica: Replica) -> None:
    """Lists go on from the replica, until they may be too old."""
    servers.primary.stop(immediate=True)
    with pytest.raises(TransientDatabaseError):
        replica.note_primary()
    assert replica.look() > 0
    assert pending(replica) == IDS


@pytest.mark.pgbouncer
def test_a_pooler_may_stand_before_the_replica(servers: Pair, database: Database) -> None:
    """In transaction mode: each list is read in one, with how far the replica is."""
    with (
        in_front_of(servers.standby.url) as pooler,
        closing(follow(servers, pooler.url)) as replica,
    ):
        settle(database, "ev_0")
        catch_up(servers)
        for _ in range(10):
            replica.note_primary()
            replica.look()
            assert pending(replica) == IDS[1:]
        servers.standby.promote()
        with pytest.raises(TransientDatabaseError, match=NO_REPLICA):
            pending(replica)


def test_a_role_that_may_only_read_will_do(servers: Pair) -> None:
    """The documented one; one that may not read what is listed is found by looking."""
    with postgres_role("settle_reader", servers.primary.url) as url:
        catch_up(servers)
        there = url.replace(str(servers.primary.port), str(servers.standby.port))
        with closing(follow(servers, there)) as replica:
            assert pending(replica) == IDS
            role = make_url(url).username
            on(servers.primary.url, f'REVOKE SELECT ON pending_events FROM "{role}"')
            catch_up(servers)
            with pytest.raises(NotAllowedError):
                replica.look()


def test_a_replica_that_is_not_migrated_yet_is_not_read(servers: Pair, replica: Replica) -> None:
    """It is found by looking, and is good when the migration has come."""
    on(servers.primary.url, "ALTER TABLE pending_events RENAME TO later")
    catch_up(servers)
    with pytest.raises(DatabaseError, match="42P01"):
        replica.look()
    on(servers.primary.url, "ALTER TABLE later RENAME TO pending_events")
    catch_up(servers)
    replica.look()
    assert pending(replica) == IDS


def read_while_all_is_settled_and_vacuumed(
    servers: Pair, database: Database, replica: Replica
) -> None:
    """Read slowly, so that what is read is to be removed meanwhile."""
    with replica.reading() as connection:
        connection.exec_driver_sql("DECLARE listed CURSOR FOR SELECT FROM events")
        connection.exec_driver_sql("FETCH listed")
        settle(database, *IDS)
        written = "SELECT pg_logical_emit_message(true, 'vacuumed', '')"
        on(servers.primary.url, "VACUUM (FREEZE) events", written)
        catch_up(servers)
        connection.exec_driver_sql("FETCH ALL FROM listed")


def test_a_list_that_is_in_the_way_of_what_is_replayed_is_ended(
    servers: Pair, database: Database, replica: Replica
) -> None:
    """That may pass, and takes no time that a list would be blamed for; the next one is read."""
    alter(servers.standby, "SET max_standby_streaming_delay = 0")
    wait_for(servers.standby, "SHOW max_standby_streaming_delay", "0")
    with pytest.raises(TransientDatabaseError) as caught:
        read_while_all_is_settled_and_vacuumed(servers, database, replica)
    assert "recovery" in str(caught.value)
    assert not caught.value.took_too_long
    assert pending(replica) == []
