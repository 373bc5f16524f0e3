"""`PATCH /v2/api/events`: one event over HTTP, and an error where it is not settled."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway import EVENTS, JSON, Gateway, check_is_problem, named, published, statuses

if TYPE_CHECKING:
    from tests.gateway import Answer
    from tests.service import Service


@pytest.fixture
def service(emptied_service: Service) -> Service:
    """Give what all of these tests share."""
    return emptied_service


@pytest.fixture
def gateway(service: Service, lasting_gateway: Gateway) -> Gateway:
    """Give the gateway that they share, and two pending events."""
    service.load("ev_1", "ev_2")
    return lasting_gateway


def settle(gateway: Gateway, update: Any, **headers: str) -> Answer:
    """Send one update."""
    return gateway.ask("PATCH", EVENTS, json.dumps(update), {**JSON, **named(headers)})


def test_a_pending_event_is_settled(service: Service, gateway: Gateway) -> None:
    """200 with its outcome, which is published too."""
    answer = settle(gateway, {"id": "ev_1", "status": "failed"}, idempotency_key="once")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert (answer.json["id"], answer.json["updated"], answer.json["reason"]) == (
        "ev_1",
        True,
        None,
    )
    assert (answer.json["messageId"], answer.json["payload"]) == ("once", {"a": 1})
    assert statuses(service, "ev_1", "ev_2") == ["failed", None]
    assert [(one["id"], one["updated"]) for one in published(service)] == [("ev_1", True)]


def test_the_request_that_settled_it_gets_its_answer_again(gateway: Gateway) -> None:
    """Under its key; under another, or none, the event is settled already."""
    update = {"id": "ev_1", "status": "completed"}
    first = settle(gateway, update, idempotency_key="once")
    again = settle(gateway, update, idempotency_key="once")
    assert (again.status, again.json) == (200, first.json)
    for headers in ({"idempotency_key": "twice"}, {}):
        answer = settle(gateway, update, **headers)
        check_is_problem(answer, 409, "Conflict", "the event is completed already, since 20")
    other = settle(gateway, {"id": "ev_1", "status": "failed"}, idempotency_key="once")
    check_is_problem(other, 409, "Conflict", "the event is completed already")


def test_an_event_that_is_not_there_is_not_found(service: Service, gateway: Gateway) -> None:
    """Nor one of another account than the update names; its outcome is published all the same."""
    for update in (
        {"id": "nobody", "status": "completed"},
        {"id": "ev_1", "status": "completed", "accountId": "acct_other"},
    ):
        check_is_problem(settle(gateway, update), 404, "Not Found", "no such event")
    assert [one["reason"] for one in published(service)] == ["not_found"] * 2
    assert statuses(service, "ev_1") == [None]


def test_an_event_that_the_database_keeps_is_a_conflict(service: Service, gateway: Gateway) -> None:
    """With what the database says."""
    with service.database.engine.begin() as owner:
        owner.exec_driver_sql(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE 'the period is closed'; END$$"
        )
        owner.exec_driver_sql(
            "CREATE TRIGGER keep BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION keep()"
        )
    try:
        answer = settle(gateway, {"id": "ev_1", "status": "completed"})
    finally:
        with service.database.engine.begin() as owner:
            owner.exec_driver_sql("DROP FUNCTION keep CASCADE")
    check_is_problem(answer, 409, "Conflict", "the period is closed")
    assert statuses(service, "ev_1") == [None]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param("", "the body is empty: it must be an object", id="nothing"),
        pytest.param("{", "the body is not JSON", id="no JSON"),
        pytest.param("null", "the body is null", id="null"),
        pytest.param('[{"id": "ev_1", "status": "failed"}]', "the body is an array", id="a list"),
        pytest.param('{"id": "ev_1"}', "status: is required", id="no status"),
        pytest.param(
            '{"id": "ev_1", "status": "done"}',
            "status: must be 'completed' or 'failed', got 'done'",
            id="another status",
        ),
        pytest.param('{"id": "\\u0000", "status": "failed"}', "id: contains NUL", id="NUL"),
        pytest.param('{"id": 7, "status": "failed"}', "id: must be a valid string", id="a number"),
    ],
)
def test_what_is_not_valid_is_refused(
    service: Service, gateway: Gateway, body: str, message: str
) -> None:
    """By its field; nothing is settled and nothing published."""
    answer = gateway.ask("PATCH", EVENTS, body, JSON)
    check_is_problem(answer, 400, "Bad Request", message)
    assert statuses(service, "ev_1") == [None]
    assert published(service) == []


def test_a_key_that_cannot_be_one_is_refused(service: Service, gateway: Gateway) -> None:
    """As of a batch."""
    answer = settle(gateway, {"id": "ev_1", "status": "failed"}, idempotency_key="a b")
    check_is_problem(answer, 400, "Bad Request", "Idempotency-Key: ")
    assert statuses(service, "ev_1") == [None]


def test_of_many_at_once_one_settles_it(gateway: Gateway) -> None:
    """The others are told that it is settled already."""
    update = {"id": "ev_2", "status": "completed"}
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: settle(gateway, update).status, range(20)))
    assert sorted(answers) == [200] + [409] * 19
