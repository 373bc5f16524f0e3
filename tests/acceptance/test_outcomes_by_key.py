"""Outcomes over HTTP with keys: every operation with wrong ones, and what is another account's."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from tests.documents import read
from tests.gateway import JSON, Gateway, Gateways, check_is_problem, new_key
from tests.listening import OUTCOMES, listening, outcome, page, publish
from tests.service import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service import Service

OPERATIONS = [
    pytest.param(method.upper(), path, id=operation["operationId"])
    for path, methods in read("openapi.json")["paths"].items()
    for method, operation in methods.items()
    if operation.get("security") != []
]


@pytest.fixture
def tokens() -> dict[str, str]:
    """Give what the holders of keys send, by name: filled when the gateway is started."""
    return {}


@pytest.fixture
def locked(gateways: Gateways, tmp_path: Path, tokens: dict[str, str]) -> Gateway:
    """Give a gateway with the keys of a shop, of one that has two accounts, and of an operator."""
    accounts = {
        "shop": ("--account", "acct_1"),
        "two": ("--account", "acct_1", "--account", "acct_2"),
        "ops": ("--all-accounts",),
    }
    keys = tmp_path / "keys.toml"
    for name, options in accounts.items():
        token, text = new_key(name, *options)
        tokens[name] = f"Bearer {token}"
        with keys.open("a") as file:
            file.write(text)
    return gateways.start(SETTLE_GATEWAY_KEYS_FILE=str(keys))


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_no_operation_is_open_without_its_key(
    locked: Gateway, tokens: dict[str, str], accept: str
) -> None:
    """Whatever the contract has, but what it says is for anybody."""
    right = tokens["shop"]
    wrong = [right + "x", right[:-1], right.replace("Bearer", "Basic"), "Bearer", "", None]
    for parameter in OPERATIONS:
        method, path = parameter.values
        for key in wrong:
            headers = JSON | {"Accept": accept} | ({} if key is None else {"Authorization": key})
            answer = locked.ask(str(method), str(path).replace("{id}", "ev_1"), "[]", headers)
            check_is_problem(answer, 401, "Unauthorized", "Authorization: ")


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer    ", "  beAreR "])
def test_every_operation_is_opened_by_its_key(
    locked: Gateway, tokens: dict[str, str], scheme: str
) -> None:
    """By the scheme in any case, and however many spaces are around."""
    shown = {"Authorization": tokens["shop"].replace("Bearer ", scheme)}
    for parameter in OPERATIONS:
        method, path = parameter.values
        answer = locked.ask(str(method), str(path).replace("{id}", "ev_1"), "[]", JSON | shown)
        assert answer.status != 401, (method, path, answer)


def test_no_operation_takes_two_keys_at_once(locked: Gateway, tokens: dict[str, str]) -> None:
    """Two headers that disagree, or do not: a proxy may look at the one, and the gateway not."""
    for parameter in OPERATIONS:
        method, path = parameter.values
        for second in (tokens["ops"], tokens["shop"], "Basic c2hvcDo="):
            connection = locked.connect()
            connection.putrequest(str(method), str(path).replace("{id}", "ev_1"))
            for value in (tokens["shop"], second):
                connection.putheader("Authorization", value)
            connection.putheader("Content-Length", "0")
            connection.endheaders()
            answer = connection.getresponse()
            assert (answer.status, b"given once" in answer.read()) == (401, True)
            connection.close()


def test_a_key_hears_of_its_accounts_alone(
    service: Service, locked: Gateway, tokens: dict[str, str]
) -> None:
    """In both forms, of what was and what comes; by no filter of more."""
    for time in ("before", "while it listens"):
        publish(
            service,
            *(outcome(f"{time}, {n}", f"acct_{n}", message_id="m") for n in (1, 2, 3)),
            outcome(f"{time}, ?", None, message_id="m", updated=False, reason="not_found"),
        )
        if time == "before":
            streams = {
                name: listening(locked, query="?after=oldest", authorization=token)
                for name, token in tokens.items()
            }
            opened = {name: stream.__enter__() for name, stream in streams.items()}
            eventually(lambda: b"listeners 3.0" in _metrics(locked, tokens))
    seen = {"shop": "1", "two": "12", "ops": "123?"}
    for name, numbers in seen.items():
        expected = [f"{time}, {n}" for time in ("before", "while it listens") for n in numbers]
        heard = [
            said.data["id"] for said in islice(filter(_is_outcome, opened[name]), len(expected))
        ]
        assert heard == expected
        for query in ({}, {"messageId": "m"}, {"reason": ["updated", "not_found"]}):
            answer = page(locked, {"Authorization": tokens[name]}, after="oldest", **query)
            assert [one["id"] for one in answer.json["outcomes"]] == expected
        streams[name].__exit__(None, None, None)
    hidden = page(locked, {"Authorization": tokens["two"]}, after="oldest", reason="not_found")
    assert hidden.json["outcomes"] == []


def _metrics(gateway: Gateway, tokens: dict[str, str]) -> bytes:
    return gateway.ask("GET", "/metrics", headers={"Authorization": tokens["ops"]}).body


def _is_outcome(said: object) -> bool:
    return bool(said.data)  # type: ignore[attr-defined]


def test_a_stop_ends_what_listens(service: Service, gateways: Gateways) -> None:
    """At once, however long a stop may take: with where to go on, and a page with what it has."""
    gateway = gateways.start(SETTLE_STOP_TIMEOUT_SECONDS="3000")
    (position,) = publish(service, outcome("ev_1"))
    with listening(gateway, query="?after=oldest") as events:
        assert next(events).position == position
        connection = gateway.connect()
        connection.request("GET", f"{OUTCOMES}?after={position}&wait=60")
        eventually(lambda: b"settle_gateway_listeners 2.0" in gateway.ask("GET", "/metrics").body)
        assert gateway.stop() == 0
        *_, last = events
        assert (last.position, last.kind, last.data["statusCode"]) == (position, "problem", 503)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (
            200,
            f'{{"outcomes":[],"after":"{position}"}}'.encode(),
        )
        connection.close()


def test_a_user_that_may_not_read_is_in_the_log(service: Service, gateways: Gateways) -> None:
    """An operator sees what is missing, once; clients are asked to come later."""
    gateway = gateways.start(SETTLE_OUTCOME_URL=service.users.producer)
    for path in (OUTCOMES, f"{OUTCOMES}?after=0-0", "/v2/api/messages/m"):
        answer = gateway.ask("GET", path)
        check_is_problem(answer, 503, "Service Unavailable", "the result channel does not answer")
    log = gateway.log.read_text()
    assert log.count('"outcomes cannot be read"') == 1
    assert "NoPermissionError" in log
    # It was denied on purpose.
    service.redis.acl_log_reset()
