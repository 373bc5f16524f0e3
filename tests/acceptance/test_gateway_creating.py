"""`POST /v2/api/events`: events created over HTTP, with the privilege that it needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.access.keys import as_toml, draw
from tests.accounts import CannotCreateUsersError, creating_role
from tests.gateway import EVENTS, JSON, Gateway, check_is_problem, completed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway import Answer, Gateways
    from tests.service import Service


@pytest.fixture
def role_url(service: Service) -> Iterator[str]:
    """Give the gateway's role, which may create events."""
    try:
        with creating_role(service.database_url) as url:
            yield url
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


@pytest.fixture
def gateway(gateways: Gateways, role_url: str) -> Gateway:
    """Give a gateway of that role, without keys."""
    return gateways.start(DATABASE_URL=role_url)


def event(id_: str, **others: Any) -> dict[str, Any]:
    """Make an event to create."""
    one = {"id": id_, "accountId": "acct_1", "eventType": "order.created", "payload": {"n": 1}}
    return {**one, **others}


def create(gateway: Gateway, *events: Any, **headers: str) -> Answer:
    """Send events."""
    return gateway.ask("POST", EVENTS, json.dumps(events), {**JSON, **headers})


def test_an_event_is_created_shown_and_settled(gateway: Gateway) -> None:
    """With nothing but HTTP."""
    answer = create(gateway, event("ev_1"), event("ev_2", createdAt="2026-11-23T10:00:00+01:00"))
    assert answer.status == 200, answer
    assert [one["created"] for one in answer.json] == [True, True]
    assert [one["payload"] for one in answer.json] == [{"n": 1}] * 2
    shown = gateway.get("ev_2").json
    assert shown["createdAt"] == "2026-11-23T09:00:00.000000Z"
    assert answer.json[1] == {"created": True, **shown}
    assert [one["updated"] for one in gateway.patch(completed("ev_1", "ev_2")).json] == [True] * 2


def test_what_is_sent_again_is_the_event_as_it_is_now(gateway: Gateway) -> None:
    """And what differs is a conflict for that one, which says nothing of the other."""
    first = create(gateway, event("ev_1"))
    gateway.patch(completed("ev_1"))
    again = create(gateway, event("ev_1"), event("ev_1", payload={"n": 2}), event("ev_2"))
    assert again.status == 200
    same, other, new = again.json
    assert same["completedAt"] is not None
    unchanged = ("id", "accountId", "createdAt", "payload")
    assert [same[name] for name in unchanged] == [first.json[0][name] for name in unchanged]
    assert (same["created"], new["created"]) == (False, True)
    assert (other["id"], other["created"], other["accountId"], other["payload"]) == (
        *("ev_1", False),
        *(None, None),
    )
    assert other["error"]["statusCode"] == 409
    assert "choose another id" in other["error"]["message"]


def test_what_was_read_can_be_sent(gateway: Gateway) -> None:
    """An event as it is shown is one that can be created."""
    create(gateway, event("ev_1"))
    shown = gateway.get("ev_1").json
    assert create(gateway, shown).json[0] == {"created": False, **shown}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "the body is empty: it must be an array", id="nothing"),
        pytest.param(b"[", "the body is not JSON", id="no JSON"),
        pytest.param(b"{}", "it must be an array", id="an object"),
        pytest.param(b"[]", "a request creates 1 to 1,000 events, this one 0", id="empty"),
        pytest.param([event(f"ev_{n}") for n in range(1_001)], "this one 1,001", id="too many"),
        pytest.param([event("a"), {"id": "b"}], "[1]: is without the required", id="a field"),
        pytest.param([event("a", accountId="")], "[0].accountId: ", id="no account"),
        pytest.param([event("x" * 256)], "[0].id: ", id="too long"),
        pytest.param([event("a", eventType="\0")], "[0].eventType: contains NUL", id="NUL"),
        pytest.param([event("a", payload=[])], "[0].payload: must be an object", id="payload"),
        pytest.param([event("a", createdAt="soon")], "[0].createdAt: ", id="no time"),
        pytest.param(
            [event("a", createdAt="2026-01-01T00:00:00")], "[0].createdAt: ", id="no zone"
        ),
        pytest.param(
            [event("a", completedAt="2026-01-01T00:00:00Z")], "[0].completedAt: ", id="settled"
        ),
        pytest.param(
            [event("a"), event("b", payload={"x": "\0"})],
            "the database refuses a value of the request, and nothing is done",
            id="what only the database refuses",
        ),
    ],
)
def test_a_request_that_is_not_valid_creates_nothing(
    gateway: Gateway, body: Any, message: str
) -> None:
    """One error names the element and the field."""
    sent = body if isinstance(body, bytes) else json.dumps(body)
    check_is_problem(gateway.ask("POST", EVENTS, sent, JSON), 400, "Bad Request", message)
    assert gateway.get("a").status == 404


def test_a_key_creates_events_of_its_accounts(
    service: Service, gateways: Gateways, role_url: str
) -> None:
    """One of another account, and nothing is created; one that is there is not shown."""
    shop, text = draw("shop", ["acct_1", "acct_2"])
    keys = service.folder / "keys.toml"
    keys.write_text(as_toml(text))
    gateway = gateways.start(DATABASE_URL=role_url, SETTLE_GATEWAY_KEYS_FILE=str(keys))
    key = {"Authorization": f"Bearer {shop}"}
    check_is_problem(create(gateway, event("ev_1")), 401, "Unauthorized")
    refused = create(gateway, event("ev_1"), event("ev_2", accountId="acct_3"), **key)
    check_is_problem(refused, 403, "Forbidden", "[1].accountId: this API key is not for")
    assert gateway.get("ev_1", **key).status == 404
    service.load("ev_3", account="acct_3")
    both = create(gateway, event("ev_1"), event("ev_3"), event("ev_4", accountId="acct_2"), **key)
    assert [one["created"] for one in both.json] == [True, False, True]
    assert "acct_3" not in both.body.decode()


def test_without_the_privilege_it_says_so(service: Service, gateways: Gateways) -> None:
    """The worker's role, with which a gateway does everything else."""
    if service.environment["DATABASE_URL"] == service.database_url:
        pytest.skip("the role is the table's owner")
    answer = create(gateways.start(), event("ev_1"))
    check_is_problem(answer, 403, "Forbidden", "its database role needs INSERT")
