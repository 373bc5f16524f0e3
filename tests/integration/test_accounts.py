"""The events of some accounts: the others are as if they were not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.loading import NewEvent, load_events
from gateway.access.accounts import EventsOfAccounts
from settle_client.checking import check
from settle_client.update import StatusUpdate
from tasks.messages import Message
from tasks.settle import settle_batch
from tests.model import ReferenceEvents

if TYPE_CHECKING:
    from db import Database

OWNERS = {"ev_1": "ours", "ev_2": "ours too", "ev_3": "theirs", "ev_4": 'a "third", {quoted}'}


def load(database: Database, database_url: str) -> None:
    """Begin with the same pending events."""
    with database.engine.begin() as owner:
        owner.exec_driver_sql("DELETE FROM events")
    load_events(database_url, [NewEvent(id_, account) for id_, account in OWNERS.items()])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*OWNERS, "nobody"]),
            st.sampled_from(["completed", "failed"]),
            st.sampled_from([None, *OWNERS.values()]),
        ),
        min_size=1,
    ),
    st.frozensets(st.sampled_from(list(OWNERS.values()))),
)
def test_it_is_as_if_the_others_did_not_exist(
    database: Database,
    database_url: str,
    updates: list[tuple[str, str, str | None]],
    accounts: frozenset[str],
) -> None:
    """The same outcomes as from a table that has only their events, and the others' untouched."""
    load(database, database_url)
    message = Message(
        "m",
        tuple(
            check({"id": id_, "status": status, "accountId": account})
            for id_, status, account in updates
        ),
    )
    part = ReferenceEvents({id_: owner for id_, owner in OWNERS.items() if owner in accounts})
    (expected,) = settle_batch([message], part)
    (outcomes,) = settle_batch([message], EventsOfAccounts(database, accounts))
    assert [(one.id, one.updated, one.reason, one.account_id) for one in outcomes] == [
        (one.id, one.updated, one.reason, one.account_id) for one in expected
    ]
    rows = database.read_events(list(OWNERS))
    assert {id_: rows[id_].status for id_ in OWNERS} == {
        id_: part.rows[id_].status if id_ in part.rows else None for id_ in OWNERS
    }
    assert database.read_events(list(OWNERS), accounts=accounts).keys() == part.rows.keys()


def test_all_accounts_may_be_meant(database: Database, database_url: str) -> None:
    """Then nothing is passed over."""
    load(database, database_url)
    message = Message("m", (StatusUpdate(id="ev_3", status="failed"),))
    ((outcome,),) = settle_batch([message], EventsOfAccounts(database, None))
    assert outcome.updated
