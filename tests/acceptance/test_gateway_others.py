"""Every operation of the contract with every key that is not for what it is asked about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.accounts import CannotCreateUsersError, creating_role
from tests.documents import read
from tests.gateway import BATCH, EVENTS, JSON, Gateway, completed, new_key, published
from tests.listening import OUTCOMES, outcome, publish
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.gateway import Gateways
    from tests.service import Service

OPERATIONS = {
    operation["operationId"]: method.upper()
    for methods in read("openapi.json")["paths"].values()
    for method, operation in methods.items()
    if operation.get("security") != []
}
NEW = {"accountId": "acct_1", "eventType": "theirs", "payload": {"secret": 1}}
# What may be asked about another's, by each operation: where, and with which body.
ASKED: dict[str, list[tuple[str, Any]]] = {
    "listEvents": [
        (EVENTS, None),
        (f"{EVENTS}?accountId=acct_1", None),
        (f"{EVENTS}?status=pending&event_type=order.created&page=1&pageSize=1000", None),
    ],
    "getEvent": [(f"{EVENTS}/ev_1", None), (f"{EVENTS}/nobody", None)],
    "settleEvent": [
        (EVENTS, {"id": "ev_1", "status": "completed"}),
        (EVENTS, {"id": "ev_1", "status": "completed", "accountId": "acct_1"}),
    ],
    "settleEvents": [
        (BATCH, completed("ev_1", "nobody")),
        (BATCH, [{"id": "ev_1", "status": "failed", "accountId": "acct_1"}]),
    ],
    "createEvents": [
        (EVENTS, [{"id": "ev_1", **NEW}]),
        (EVENTS, [{"id": "new", **NEW}]),
        (EVENTS, [{"id": "ev_1", **NEW, "accountId": "acct_2"}]),
    ],
    "listOutcomes": [
        (f"{OUTCOMES}?after=oldest", None),
        (f"{OUTCOMES}?after=oldest&messageId=theirs&reason=updated&reason=not_found", None),
        (f"{OUTCOMES}?after=oldest&format=cloudevents", None),
    ],
    "getMessage": [("/v2/api/messages/theirs", None), ("/v2/api/messages/never", None)],
    "getMetrics": [("/metrics", None)],
}
# Of the event, of its outcome and of its message: nothing of it is for others.
SECRETS = (b"acct_1", b"order.created", b"theirs", b"ev_settled", b'"a"')


class Locked(NamedTuple):
    """A gateway with what is the first account's, and what holders of keys send."""

    gateway: Gateway
    headers: dict[str, dict[str, str]]


@pytest.fixture
def locked(service: Service, gateways: Gateways, tmp_path: Path) -> Iterator[Locked]:
    """Give an event, a settled one with its outcome, and a message; all of one account."""
    service.load("ev_1", "ev_settled", account="acct_1")
    publish(service, outcome("ev_settled", "acct_1", message_id="theirs"))
    (owner, owners), (other, others) = (
        new_key(name, "--account", account)
        for name, account in (("owner", "acct_1"), ("other", "acct_2"))
    )
    keys = tmp_path / "keys.toml"
    keys.write_text(owners + others)
    bearers = {"owner": f"Bearer {owner}", "other": f"Bearer {other}"}
    bearers |= {"unknown": f"Bearer {other}x", "basic": f"Basic {other}", "none": ""}
    headers = {
        name: {**JSON, **({"Authorization": bearer} if bearer else {})}
        for name, bearer in bearers.items()
    }
    try:
        with creating_role(service.database_url) as url:
            gateway = gateways.start(
                DATABASE_URL=url,
                CELERY_BROKER_URL=service.users.producer,
                SETTLE_GATEWAY_KEYS_FILE=str(keys),
            )
            yield Locked(gateway, headers)
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


def test_no_operation_shows_or_changes_what_is_anothers(service: Service, locked: Locked) -> None:
    """A key of another account is told what there is not; whoever has none, that they need one."""
    gateway, headers = locked
    later = {**headers["owner"], "Prefer": "respond-async", "Idempotency-Key": "theirs"}
    body = json.dumps(completed("ev_settled"))
    assert gateway.ask("PATCH", BATCH, body, later).status == 202
    before = service.database.read_events(["ev_1", "ev_settled", "new"], with_payload=True)
    assert ASKED.keys() == OPERATIONS.keys()
    for operation, method in OPERATIONS.items():
        for path, asked in ASKED[operation]:
            body = "" if asked is None else json.dumps(asked)
            for name in ("other", "unknown", "basic", "none"):
                answer = gateway.ask(method, path, body, headers[name])
                assert not [secret for secret in SECRETS if secret in answer.body], (path, answer)
                assert (answer.status == 401) == (name != "other"), (path, answer)
    assert service.database.read_events(list(before), with_payload=True) == before
    assert {one["accountId"] for one in published(service)[1:]} <= {None}


def test_what_is_hidden_is_there_for_its_owner(service: Service, locked: Locked) -> None:
    """By the same requests: it is the key that makes the difference."""
    gateway, headers = locked
    later = {**headers["owner"], "Prefer": "respond-async", "Idempotency-Key": "theirs"}
    gateway.ask("PATCH", BATCH, json.dumps(completed("ev_settled")), later)
    seen = {}
    for operation in ("listEvents", "getEvent", "listOutcomes", "getMessage", "settleEvent"):
        path, asked = ASKED[operation][0]
        body = "" if asked is None else json.dumps(asked)
        seen[operation] = gateway.ask(OPERATIONS[operation], path, body, headers["owner"])
    assert {name: answer.status for name, answer in seen.items()} == {
        **dict.fromkeys(seen, 200),
        "getMessage": 202,
    }
    assert all(any(secret in answer.body for secret in SECRETS) for answer in seen.values())
    eventually(lambda: len(published(service)) == 2)
