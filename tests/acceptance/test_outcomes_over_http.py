"""Outcomes over HTTP: a page that may be waited for, and a stream of events."""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from tests.documents import read
from tests.gateway import Answer, Gateway, check_is_problem, completed
from tests.listening import OUTCOMES, address, listening, outcome, page, publish
from tests.service import eventually

if TYPE_CHECKING:
    from tests.service import Service

LIST = read("openapi.json")["paths"][OUTCOMES]["get"]
BAD = LIST["responses"]["400"]["content"]["application/json"]["examples"]
AS_STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
def listened(emptied_service: Service, lasting_gateway: Gateway) -> Gateway:
    """Give a gateway, and no outcome yet, as it knows."""
    assert emptied_service.channel.xlen("event-outcomes") == 0
    eventually(lambda: page(lasting_gateway).json["after"] == "0-0")
    return lasting_gateway


def ids(answer: Answer) -> list[str]:
    """Return the ids of the events of a page."""
    return [one["id"] for one in answer.json["outcomes"]]


def test_an_outcome_is_heard_by_who_listens(listened: Gateway, emptied_service: Service) -> None:
    """As it is in the stream, with its position there as the id; first comes where one begins."""
    emptied_service.load("ev_1")
    with listening(listened) as events:
        begin = next(events)
        answered = listened.patch(completed("ev_1"), idempotency_key="m").json
        said = next(events)
    ((position, _),) = emptied_service.channel.xrange("event-outcomes")
    assert (begin.position, begin.data) == ("0-0", None)
    assert (said.position, said.kind) == (position, "message")
    assert [said.data | {"payload": {"a": 1}}] == answered


def test_a_listener_goes_on_from_the_id_that_it_had(
    listened: Gateway, emptied_service: Service
) -> None:
    """With what came while it was away, and what comes then."""
    positions = publish(emptied_service, *(outcome(f"ev_{number}") for number in range(30)))
    with listening(listened, last_event_id=positions[9]) as events:
        before = list(islice(events, 20))
        publish(emptied_service, outcome("ev_30"))
        after = next(said for said in events if said.data)
    assert [said.data["id"] for said in [*before, after]] == [f"ev_{n}" for n in range(10, 31)]
    assert [said.position for said in before] == positions[10:]


def test_a_page_goes_on_where_the_one_before_ended(
    listened: Gateway, emptied_service: Service
) -> None:
    """From the oldest on, without one twice or none; the last is empty."""
    publish(emptied_service, *(outcome(f"ev_{number}") for number in range(250)))
    found, after = [], "oldest"
    for size in (100, 100, 50, 0):
        answer = page(listened, after=after)
        assert len(ids(answer)) == size
        found += ids(answer)
        after = answer.json["after"]
    assert found == [f"ev_{number}" for number in range(250)]
    assert ids(page(listened, after="oldest", limit=3)) == found[:3]


def test_a_page_waits_for_the_first_outcome(listened: Gateway, emptied_service: Service) -> None:
    """It comes with it, and not before; without one it comes empty when the time is over."""
    nothing = page(listened)
    assert nothing.json == {"outcomes": [], "after": "0-0"}
    publishing = threading.Timer(0.5, publish, (emptied_service, outcome("ev_1")))
    publishing.start()
    answer = page(listened, after=nothing.json["after"], wait=60)
    publishing.join()
    assert ids(answer) == ["ev_1"]
    again = page(listened, after=answer.json["after"], wait=1)
    assert again.json == {"outcomes": [], "after": answer.json["after"]}


def test_outcomes_are_asked_for_by_message_and_reason(
    listened: Gateway, emptied_service: Service
) -> None:
    """In both forms; what is passed over still counts for where to go on."""
    positions = publish(
        emptied_service,
        outcome("ev_1", message_id="a"),
        outcome("ev_2", message_id="a", updated=False, reason="not_found"),
        outcome("ev_3", message_id="b", updated=False, reason="already_failed"),
    )
    for query, expected in (
        ({"messageId": "a"}, ["ev_1", "ev_2"]),
        ({"reason": "updated"}, ["ev_1"]),
        ({"reason": ["not_found", "already_failed"]}, ["ev_2", "ev_3"]),
        ({"messageId": "b", "reason": "not_found"}, []),
    ):
        answer = page(listened, after="oldest", **query)
        assert ids(answer) == expected
        assert answer.json["after"] == positions[-1]
        with listening(listened, query=address(after="oldest", **query)[len(OUTCOMES) :]) as events:
            heard = [said.data["id"] for said in islice(events, len(expected))]
            assert heard == expected
            if not expected:
                assert next(events) == (positions[-1], "message", None)


def test_outcomes_are_given_as_cloudevents(listened: Gateway, emptied_service: Service) -> None:
    """In both forms, by the same filters; one that is repeated has the same id, whatever it is."""
    one = outcome("ev_1", message_id="m", index=3)
    positions = publish(emptied_service, one, one)
    emptied_service.channel.xadd("event-outcomes", {"outcome": "not JSON"})
    given = page(listened, after="oldest", format="cloudevents").json
    first, again, odd = given["outcomes"]
    assert first["time"].endswith("Z")
    assert {name: value for name, value in first.items() if name != "time"} == {
        "specversion": "1.0",
        "id": "m/3",
        "source": "/v2/api/events",
        "type": "settle.event.outcome",
        "subject": "ev_1",
        "datacontenttype": "application/json",
        "data": page(listened, after="oldest").json["outcomes"][0],
    }
    assert (again["id"], again["source"]) == (first["id"], first["source"])
    assert (odd["id"], odd["data"], "subject" in odd) == (given["after"], "not JSON", False)
    with listening(listened, query="?after=oldest&format=cloudevents&messageId=m") as events:
        said = list(islice(events, 2))
    assert [(each.position, each.data) for each in said] == [
        *zip(positions, (first, again), strict=True)
    ]
    asked = page(listened, after="oldest", format="outcomes").json
    assert asked == page(listened, after="oldest").json


@pytest.mark.parametrize("form", [{}, AS_STREAM], ids=["page", "stream"])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("after=yesterday", "after: must be the `after` of an earlier answer"),
        ("after=", "after: must be"),
        ("after=1-99999999999999999999", "after: must be"),
        ("after=%D9%A1-0", "after: must be"),
        ("after=1-0&after=2-0", "after: must be given once"),
        ("reason=settled", "reason: must be one of updated, already_completed"),
        ("format=xml", "format: must be outcomes or cloudevents, got 'xml'"),
        ("format=", "format: must be"),
        ("messageId=", "messageId: must be 1 to 255 characters"),
        ("messageid=a", "messageid: there is no such parameter: there are after, limit, wait"),
    ],
)
def test_a_question_that_is_not_valid_is_refused(
    listened: Gateway, form: dict[str, str], query: str, message: str
) -> None:
    """By the name of the parameter."""
    answer = listened.ask("GET", f"{OUTCOMES}?{query}", headers=form)
    check_is_problem(answer, 400, "Bad Request", message)


@pytest.mark.parametrize("example", BAD.values(), ids=BAD)
def test_an_example_of_the_contract_gets_its_answer(listened: Gateway, example: Any) -> None:
    """Word for word."""
    answer = listened.ask("GET", example["x-request-path"])
    assert (answer.status, answer.json) == (400, example["value"])


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=ten", "wait=61", "wait=-1"])
def test_a_number_out_of_range_is_refused(listened: Gateway, query: str) -> None:
    """With the range."""
    name, _, _ = query.partition("=")
    most = {"limit": "1 to 1,000", "wait": "0 to 60"}[name]
    answer = listened.ask("GET", f"{OUTCOMES}?{query}")
    check_is_problem(answer, 400, "Bad Request", f"{name}: must be a number from {most}")


def test_what_is_for_the_other_form_is_refused(listened: Gateway) -> None:
    """A stream has no limit; its id may be as wrong as a position. No other method is taken."""
    answer = listened.ask("GET", f"{OUTCOMES}?limit=1", headers=AS_STREAM)
    check_is_problem(answer, 400, "Bad Request", "limit, wait: are for a page")
    answer = listened.ask("GET", OUTCOMES, headers={**AS_STREAM, "Last-Event-ID": "x"})
    check_is_problem(answer, 400, "Bad Request", "Last-Event-ID: must be")
    for method in ("POST", "DELETE"):
        answer = listened.ask(method, OUTCOMES)
        check_is_problem(answer, 405, "Method Not Allowed", f"{method} is not for this path")
    assert listened.ask("HEAD", OUTCOMES).status == 405


@pytest.mark.parametrize("form", [{}, AS_STREAM], ids=["page", "stream"])
def test_what_is_trimmed_is_said(
    listened: Gateway, emptied_service: Service, form: dict[str, str]
) -> None:
    """With 410, before a stream begins; from where it says to begin nothing more is missing."""
    positions = publish(emptied_service, *(outcome(f"ev_{number}") for number in range(5)))
    emptied_service.channel.xtrim("event-outcomes", maxlen=2, approximate=False)
    for after in (positions[0], positions[1], "0-0"):
        answer = listened.ask("GET", address(after=after), headers=form)
        check_is_problem(answer, 410, "Gone", "begin with after=oldest")
        link = answer.headers["link"]
        assert link.endswith('>; rel="next"')
        assert ids(listened.ask("GET", link[1:].partition(">")[0])) == ["ev_3", "ev_4"]
    assert ids(page(listened, after="oldest")) == ["ev_3", "ev_4"]
    assert ids(page(listened, after=positions[3])) == ["ev_4"]


def test_a_position_beyond_the_end_is_said(listened: Gateway, emptied_service: Service) -> None:
    """Nothing would ever come for it, or something would be missed."""
    publish(emptied_service, outcome("ev_1"))
    answer = page(listened, after="9999999999999-0", wait=60)
    check_is_problem(answer, 410, "Gone", "begin with after=")


def test_what_is_no_outcome_hinders_nobody(listened: Gateway, emptied_service: Service) -> None:
    """It is passed on: JSON as it is but on one line, anything else as a string of JSON."""
    emptied_service.channel.xadd("event-outcomes", {"outcome": '{"id":\n "x",\r\n "more": [1]}'})
    emptied_service.channel.xadd("event-outcomes", {"outcome": "not JSON"})
    emptied_service.channel.xadd("event-outcomes", {"other": "field"})
    publish(emptied_service, outcome("ev_1"))
    first, *rest = page(listened, after="oldest").json["outcomes"]
    assert first == {"id": "x", "more": [1]}
    assert (rest[0], rest[1], rest[2]["id"]) == ("not JSON", {"other": "field"}, "ev_1")
    with listening(listened, query="?after=oldest") as events:
        assert [said.data for said in islice(events, 3)] == [first, *rest[:2]]
