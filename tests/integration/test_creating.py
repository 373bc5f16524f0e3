"""Events, created: once for each id, whoever else creates them at the same time."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from db import BadDataError, Creation, Database, DatabaseError, NotAllowedError, Settlement
from db.loading import NewEvent, load_events
from settle_client.moments import timestamp
from tests.accounts import CannotCreateUsersError, postgres_role
from tests.tables import both

MADE_AT = datetime(2026, 11, 23, 9, tzinfo=UTC)

pytestmark = both


def creation(id_: str, content: object = None, **others: Any) -> Creation:
    """Make one."""
    one = Creation(id_, "acct_1", "order.created", json.dumps(content or {"total": 1}))
    return one._replace(**others)


def test_what_is_new_is_created_pending(database: Database) -> None:
    """In the order asked for, with the time that was given or the present one."""
    first, second = database.create_events([creation("b", created_at=MADE_AT), creation("a")])
    assert first.is_new
    assert second.is_new
    assert first.row is not None
    assert second.row is not None
    assert (first.row.id, first.row.created_at, first.row.status) == ("b", timestamp(MADE_AT), None)
    assert second.row.payload == '{"total": 1}'
    assert database.read_events(["a", "b"], with_payload=True) == {
        "a": second.row,
        "b": first.row,
    }


def test_what_is_there_with_the_same_content_is_left_as_it_is(database: Database) -> None:
    """Also when it has been settled since; equal JSON is the same, however it is written."""
    (made,) = database.create_events([creation("a", {"x": 1, "y": 2}, created_at=MADE_AT)])
    database.settle_pending_events([Settlement("a", "failed", None, "m")])
    again, untimed = database.create_events(
        [
            creation("a", created_at=MADE_AT, payload='{"y":2,  "x":1.0}'),
            creation("a", {"x": 1, "y": 2}),
        ]
    )
    assert made.is_new
    assert again == untimed
    assert not again.is_new
    assert again.row is not None
    assert again.row.status == "failed"


@pytest.mark.parametrize(
    "other",
    [
        {"account_id": "acct_2"},
        {"event_type": "order.paid"},
        {"payload": "{}"},
        {"created_at": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_is_there_with_other_content_is_not_shown(
    database: Database, other: dict[str, Any]
) -> None:
    """Nor changed; and its neighbours are created."""
    database.create_events([creation("a")])
    before = database.read_events(["a"], with_payload=True)
    refused, made = database.create_events([creation("a", **other), creation("b")])
    assert (refused.row, refused.is_new) == (None, False)
    assert made.is_new
    assert database.read_events(["a"], with_payload=True) == before


def test_of_one_id_the_first_is_created(database: Database) -> None:
    """And the others are compared with it."""
    first, same, other = database.create_events(
        [creation("a"), creation("a"), creation("a", {"total": 2})]
    )
    assert first.is_new
    assert same.row == first.row
    assert other.row is None


def test_of_several_that_create_the_same_one_does(database: Database) -> None:
    """In any order, without a deadlock."""
    ids = [f"ev_{number}" for number in range(300)]
    answers = []

    def create(order: list[str]) -> None:
        answers.append(database.create_events([creation(id_) for id_ in order]))

    threads = [
        threading.Thread(target=create, args=(order,)) for order in (ids, ids[::-1], ids, ids[::-1])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    created = [one for answer in answers for one in answer]
    assert len(created) == 1_200
    assert sum(one.is_new for one in created) == 300
    assert all(one.row for one in created)


@pytest.mark.parametrize("payload", ['{"a": "\\u0000"}', '{"a": 1e999999}'], ids=["NUL", "number"])
def test_what_postgresql_cannot_hold_is_bad_data(database: Database, payload: str) -> None:
    """And nothing is created."""
    with pytest.raises(BadDataError):
        database.create_events([creation("a"), creation("b", payload=payload)])
    assert database.read_events(["a", "b"]) == {}


def test_a_worker_may_not_create(database_url: str) -> None:
    """It is told apart from everything else that an operator must see to."""
    try:
        with (
            postgres_role("settle_worker", database_url) as url,
            closing(Database(url)) as worker,
            pytest.raises(NotAllowedError, match="42501"),
        ):
            worker.create_events([creation("a")])
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


def test_loading_is_all_or_nothing(database: Database, database_url: str) -> None:
    """What is there with other content is named; loading the same again changes nothing."""
    events = [NewEvent(f"ev_{number}", "acct_1") for number in range(1_500)]
    assert load_events(database_url, events) == 1_500
    assert load_events(database_url, events) == 1_500
    with pytest.raises(DatabaseError, match="ev_7 is there, with other content"):
        load_events(database_url, [NewEvent("new", "acct_1"), NewEvent("ev_7", "acct_2")])
    assert database.read_events(["new"]) == {}
