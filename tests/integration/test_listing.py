"""Events, listed: in order, by every filter, and none of those that are pending left out."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from db import BadDataError, Creation, Database, NotAllowedError, Settlement
from db.listing import Listing, ListPosition, list_events
from tests.accounts import CannotCreateUsersError, postgres_role
from tests.tables import both

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2026, 11, 23, 9, tzinfo=UTC)

pytestmark = both


def make(database: Database, *ids: str, account: str = "acct_1", kind: str = "order") -> None:
    """Create events, each a second younger than the one before by its number."""
    database.create_events(
        [Creation(id_, account, kind, "{}", START + timedelta(seconds=int(id_[1:]))) for id_ in ids]
    )


def settle(database: Database, *ids: str, status: Any = "completed") -> None:
    """Settle events."""
    database.settle_pending_events([Settlement(id_, status, None, "m") for id_ in ids])


def listed(database: Database, limit: int = 100, **conditions: Any) -> list[str]:
    """Return the ids of a list."""
    return [row.id for row in list_events(database, Listing(limit, **conditions)).rows]


def through(database: Database, limit: int, **conditions: Any) -> Iterator[list[str]]:
    """Yield the pages of a list, each from the last event of the one before."""
    after: ListPosition | None = None
    while True:
        page = list_events(database, Listing(limit, after=after, **conditions))
        yield [row.id for row in page.rows]
        if (after := page.last) is None:
            return


def test_events_are_listed_oldest_first_by_every_filter(database: Database) -> None:
    """Of all accounts or of some; events of one time in the order of their ids."""
    make(database, "a3", "a1", "b1", "a5")
    make(database, "c2", "c4", account="acct_2", kind="invoice")
    settle(database, "a1", "c2")
    settle(database, "a3", status="failed")
    assert listed(database) == ["a1", "b1", "c2", "a3", "c4", "a5"]
    assert listed(database, state="pending") == ["b1", "c4", "a5"]
    assert listed(database, state="completed") == ["a1", "c2"]
    assert listed(database, state="failed") == ["a3"]
    assert listed(database, event_type="invoice") == ["c2", "c4"]
    assert listed(database, state="pending", event_type="invoice") == ["c4"]
    assert listed(database, accounts={"acct_1"}) == ["a1", "b1", "a3", "a5"]
    assert listed(database, state="pending", accounts={"acct_1"}) == ["b1", "a5"]
    assert listed(database, state="pending", accounts={"acct_1", "acct_2", "x"}) == [
        *("b1", "c4", "a5"),
    ]
    assert listed(database, state="pending", accounts=frozenset()) == []
    between: dict[str, Any] = {"created_after": START + timedelta(seconds=1)}
    between["created_before"] = START + timedelta(seconds=5)
    assert listed(database, **between) == ["c2", "a3", "c4"]
    assert listed(database, state="pending", **between) == ["c4"]


def test_a_page_is_a_part_of_the_list(database: Database) -> None:
    """By how many are left out, of all accounts or of some."""
    make(database, *(f"a{number}" for number in range(10)))
    make(database, *(f"b{number}" for number in range(10)), account="acct_2")
    for accounts in (None, {"acct_1", "acct_2"}):
        assert listed(database, 3, skip=3, accounts=accounts) == ["b1", "a2", "b2"]
        assert listed(database, 3, skip=18, accounts=accounts) == ["a9", "b9"]
        assert listed(database, 3, skip=30, accounts=accounts) == []


@pytest.mark.parametrize(
    "accounts", [None, {"acct_1"}, {"acct_1", "acct_2"}], ids=["of all", "of one", "of two"]
)
def test_from_one_page_to_the_next_nothing_is_left_out(
    database: Database, accounts: set[str] | None
) -> None:
    """Nor repeated, whatever is settled meanwhile; at the end there is no next one."""
    ids = [f"a{number:02}" for number in range(20)] + [f"b{number:02}" for number in range(20)]
    make(database, *ids)
    seen: list[str] = []
    for page in through(database, 7, state="pending", accounts=accounts):
        seen += page
        # Of what was seen and what was not.
        settle(database, *page[::2], "a19")
    assert len(seen) == len(set(seen))
    assert set(ids) - set(seen) == {"a19"}
    assert [len(page) for page in through(database, 20)] == [20, 20]


def test_what_is_pending_throughout_is_listed_under_load(database: Database) -> None:
    """While others create and settle, events that stay pending are on a page of every pass."""
    stay = [f"s{number}" for number in range(0, 300, 3)]
    make(database, *stay)
    done = threading.Event()

    def work(name: str) -> None:
        number = 0
        while not done.is_set():
            ids = [f"{name}{n}" for n in range(number, number + 50)]
            make(database, *ids)
            settle(database, *ids)
            number += 50

    threads = [threading.Thread(target=work, args=(name,)) for name in "xy"]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            seen = [id_ for page in through(database, 11, state="pending") for id_ in page]
            assert [id_ for id_ in seen if id_.startswith("s")] == stay
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert listed(database, 1_000, state="pending") == stay


def test_whoever_writes_the_table_is_followed(database: Database) -> None:
    """Also an owner who changes events by hand, deletes them, or empties the table."""
    with database.engine.begin() as owner:
        for statement in (
            "INSERT INTO events SELECT unnest('{a,b}'::text[]), 'acct_1', 'x', '{}', now()",
            "INSERT INTO events VALUES ('c', 'acct_1', 'x', '{}', now(), now())",
            "UPDATE events SET account_id = 'acct_2' WHERE id = 'a'",
            "UPDATE events SET completed_at = NULL WHERE id = 'c'",
            "UPDATE events SET failed_at = now() WHERE id = 'b'",
        ):
            owner.exec_driver_sql(statement)
    assert listed(database, state="pending", accounts=["acct_2"]) == ["a"]
    assert listed(database, state="pending", accounts=["acct_1"]) == ["c"]
    with database.engine.begin() as owner:
        owner.exec_driver_sql("DELETE FROM events WHERE id = 'c'")
    assert listed(database, state="pending") == ["a"]
    with database.engine.begin() as owner:
        owner.exec_driver_sql("TRUNCATE events")
        assert owner.exec_driver_sql("TABLE pending_events").all() == []


def test_an_event_is_listed_whenever_it_was_made(database: Database) -> None:
    """Also where Python has no such time."""
    with database.engine.begin() as owner:
        for number, moment in enumerate(("-infinity", "0044-03-15 BC", "2026-01-01", "infinity")):
            owner.exec_driver_sql(
                "INSERT INTO events VALUES (%s, 'acct_1', 'x', '{}', %s)", (f"e{number}", moment)
            )
    assert list(through(database, 1, state="pending")) == [["e0"], ["e1"], ["e2"], ["e3"]]


def test_a_place_that_is_none_is_bad_data(database: Database) -> None:
    """Not an error of the service."""
    with pytest.raises(BadDataError):
        listed(database, after=ListPosition("soon", "a"))


@pytest.mark.parametrize("role", ["settle_gateway", "settle_reader"])
def test_who_may_read_events_may_list_them(database_url: str, role: str) -> None:
    """And may not write to what lists are made of; who may not is told apart."""
    try:
        with postgres_role(role, database_url) as url, closing(Database(url)) as theirs:
            assert listed(theirs, state="pending") == []
            with pytest.raises(psycopg.errors.InsufficientPrivilege), psycopg.connect(url) as role_:
                role_.execute("DELETE FROM pending_events")
            with psycopg.connect(database_url) as owner:
                owner.execute("REVOKE ALL ON pending_events FROM PUBLIC")
                name = url.partition("//")[2].partition(":")[0]
                owner.execute(f'REVOKE ALL ON pending_events FROM "{name}"'.encode())
            with pytest.raises(NotAllowedError):
                listed(theirs, state="pending")
    except CannotCreateUsersError as error:
        pytest.skip(str(error))
