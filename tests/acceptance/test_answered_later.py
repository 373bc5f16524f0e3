"""A request that would rather be answered later: to the queue, and to an address of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin

import pytest

from tests.gateway import (
    BATCH,
    JSON,
    Answer,
    Gateway,
    Gateways,
    check_is_problem,
    completed,
    new_key,
    statuses,
)
from tests.listening import outcome, publish
from tests.service import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service import Service

MESSAGES = "/v2/api/messages/"


def start(gateways: Gateways, **settings: str) -> Gateway:
    """Start a gateway that may send, and no more than that, to the broker."""
    return gateways.start(CELERY_BROKER_URL=gateways.service.users.producer, **settings)


def send(
    gateway: Gateway, updates: Any, *, prefer: str = "respond-async", **headers: str
) -> Answer:
    """Send updates, to be answered later."""
    return gateway.patch(updates, prefer=prefer, **headers)


def answered(gateway: Gateway, path: str, **headers: str) -> Answer:
    """Wait until nothing of a message is awaited any more."""
    found: list[Answer] = []

    def is_whole() -> bool:
        found[:] = [gateway.ask("GET", path, headers=headers)]
        return found[0].status != 202

    eventually(is_whole, lambda: found)
    return found[0]


def test_a_request_is_answered_where_its_location_says(
    service: Service, gateways: Gateways
) -> None:
    """With how many are awaited, until a worker has come; then as it would have been at once."""
    service.load("ev_1", "ev_2")
    gateway = start(gateways)
    updates = [*completed("ev_1", "ev_404"), {"id": "ev_2", "status": "failed"}]
    accepted = send(gateway, updates, idempotency_key="import-7%2F")
    assert accepted.status == 202
    assert accepted.headers["preference-applied"] == "respond-async"
    path = accepted.headers["location"]
    waiting = gateway.ask("GET", path)
    assert (waiting.status, waiting.headers["retry-after"]) == (202, "1")
    message_id = unquote(path.removeprefix(MESSAGES))
    assert waiting.json == accepted.json
    state = {"messageId": message_id, "updates": 3, "awaited": 3, "outcomes": []}
    assert waiting.json == state
    assert statuses(service, "ev_1") == [None]
    service.start_worker()
    later = answered(gateway, path)
    assert (later.status, later.json["awaited"]) == (200, 0)
    assert [one["reason"] for one in later.json["outcomes"]] == [None, "not_found", None]
    at_once = gateway.patch(updates, idempotency_key=message_id).json
    without = [{k: v for k, v in one.items() if k != "payload"} for one in at_once]
    assert later.json["outcomes"] == without
    # Once more the same, though the stream has the answer of the repeated request too.
    assert gateway.ask("GET", path).json == later.json


def test_everything_between_may_be_restarted(service: Service, gateways: Gateways) -> None:
    """The gateway, before and after the worker has come; a repeated request is the same one."""
    service.load("ev_1")
    gateway = start(gateways)
    path = send(gateway, completed("ev_1"), idempotency_key="once").headers["location"]
    gateway.kill()
    gateway = start(gateways)
    assert gateway.ask("GET", path).json["awaited"] == 1
    assert send(gateway, completed("ev_1"), idempotency_key="once").headers["location"] == path
    worker = service.start_worker()
    first = answered(gateway, path)
    gateway.kill()
    worker.stop()
    gateway = start(gateways)
    assert gateway.ask("GET", path).json == first.json
    (only,) = first.json["outcomes"]
    assert (only["updated"], only["messageId"]) == (True, "once")


def test_another_request_under_the_same_key_is_refused(
    service: Service, gateways: Gateways
) -> None:
    """Nobody could say whose outcomes were whose."""
    service.load("ev_1", "ev_2")
    gateway = start(gateways)
    assert send(gateway, completed("ev_1"), idempotency_key="once").status == 202
    answer = send(gateway, completed("ev_2"), idempotency_key="once")
    check_is_problem(answer, 409, "Conflict", "Idempotency-Key: is that of another request")
    assert service.redis.llen("event-status-updates") == 1


@pytest.mark.parametrize("key", [".", ".."], ids=["this", "above"])
def test_a_key_that_no_address_can_end_with_is_refused(
    service: Service, gateways: Gateways, key: str
) -> None:
    """Clients would ask for another; what comes near is an address like any."""
    gateway = start(gateways)
    answer = send(gateway, completed("ev_1"), idempotency_key=key)
    check_is_problem(answer, 400, "Bad Request", "Idempotency-Key: may not be . or ..")
    assert service.redis.llen("event-status-updates") == 0
    for near in (f"{key}.x", f"%2e{key}", f"a/{key}"):
        path = send(gateway, completed("ev_1"), idempotency_key=near).headers["location"]
        # As clients do.
        assert urljoin(gateway.url, path) == gateway.url + path
        assert gateway.ask("GET", path).json["messageId"] == near


@pytest.mark.parametrize(
    "prefer",
    [
        "Respond-Async",
        "wait=10, respond-async",
        'x="a, b"; y, respond-async; z=1',
        "respond-async=",
    ],
)
def test_the_preference_is_found_among_others(gateways: Gateways, prefer: str) -> None:
    """As RFC 7240 has it."""
    assert send(start(gateways), completed("ev_1"), prefer=prefer).status == 202


def test_without_the_preference_a_request_is_answered_at_once(gateways: Gateways) -> None:
    """Nor with another one."""
    gateway = start(gateways)
    for prefer in ("return=minimal", 'x="respond-async"', "respond-asynchronously"):
        answer = send(gateway, completed("ev_1"), prefer=prefer)
        assert answer.status == 200
        assert "preference-applied" not in answer.headers


def test_what_is_not_valid_is_refused_as_at_once(service: Service, gateways: Gateways) -> None:
    """By the place of the update, whole, and nothing is sent."""
    gateway = start(gateways)
    for updates, headers, status in (
        ([*completed("ev_1"), {"id": "ev_2", "status": "done"}], {}, 400),
        ([], {}, 400),
        (completed("ev_1"), {"idempotency_key": "a b"}, 400),
    ):
        later, at_once = send(gateway, updates, **headers), gateway.patch(updates, **headers)
        assert (later.status, later.json) == (at_once.status, at_once.json)
        assert later.status == status
    assert service.redis.llen("event-status-updates") == 0


def test_a_message_that_is_not_known_is_not_found(gateways: Gateways) -> None:
    """Nor one whose id no message can have."""
    gateway = start(gateways)
    for id_ in ("never", "%00", "a%2Fb", "x" * 1_000):
        answer = gateway.ask("GET", MESSAGES + id_)
        check_is_problem(answer, 404, "Not Found", "there is no such message")
    check_is_problem(gateway.ask("DELETE", f"{MESSAGES}m"), 405, "Method Not Allowed")


def test_what_is_trimmed_before_it_was_found_is_said(service: Service, gateways: Gateways) -> None:
    """And how to get it all the same; what was found is known for as long as it is there."""
    service.load("ev_1", "ev_2")
    gateway = start(gateways)
    service.start_worker()
    path = send(gateway, completed("ev_1"), idempotency_key="once").headers["location"]
    assert answered(gateway, path).status == 200
    # Before and behind it nothing more is needed.
    publish(service, *(outcome(f"other_{number}") for number in range(5)))
    service.channel.xtrim("event-outcomes", maxlen=6, approximate=False)
    assert gateway.ask("GET", path).status == 200
    service.channel.xtrim("event-outcomes", maxlen=5, approximate=False)
    answer = gateway.ask("GET", path)
    check_is_problem(answer, 410, "Gone", "send the request again, with the same Idempotency-Key")
    assert send(gateway, completed("ev_1"), idempotency_key="once").headers["location"] == path
    (again,) = answered(gateway, path).json["outcomes"]
    assert again["updated"]


def test_a_message_of_a_quiet_service_is_found(service: Service, gateways: Gateways) -> None:
    """Where everything before it was trimmed when it was sent."""
    service.load("ev_1")
    publish(service, outcome("other"))
    service.channel.xtrim("event-outcomes", maxlen=0, approximate=False)
    gateway = start(gateways)
    path = send(gateway, completed("ev_1")).headers["location"]
    service.start_worker()
    assert answered(gateway, path).status == 200


@pytest.fixture
def locked(service: Service, gateways: Gateways, tmp_path: Path) -> tuple[Gateway, dict[str, str]]:
    """Give a gateway with keys of one account, of two and of all; and what holders send."""
    tokens, texts = {}, []
    for name, options in {
        "shop": ("--account", "acct_1"),
        "other": ("--account", "acct_2"),
        "two": ("--account", "acct_1", "--account", "acct_2"),
        "ops": ("--all-accounts",),
    }.items():
        token, text = new_key(name, *options)
        tokens[name] = f"Bearer {token}"
        texts.append(text)
    keys = tmp_path / "keys.toml"
    keys.write_text("".join(texts))
    for number in (1, 2, 3):
        service.load(f"ev_{number}", account=f"acct_{number}")
    return start(gateways, SETTLE_GATEWAY_KEYS_FILE=str(keys)), tokens


def test_a_key_settles_its_accounts_events_alone(
    service: Service, locked: tuple[Gateway, dict[str, str]]
) -> None:
    """Through the queue too, whatever an update says; others are as if they were not there."""
    gateway, tokens = locked
    service.start_worker()
    shop = {"authorization": tokens["shop"]}
    path = send(gateway, completed("ev_1", "ev_2", "ev_3"), **shop).headers["location"]
    outcomes = answered(gateway, path, **shop).json["outcomes"]
    assert [one["reason"] for one in outcomes] == [None, "not_found", "not_found"]
    assert {one["accountId"] for one in outcomes[1:]} == {None}
    assert statuses(service, "ev_1", "ev_2", "ev_3") == ["completed", None, None]
    answer = send(gateway, [{**completed("ev_2")[0], "accountId": "acct_2"}], **shop)
    check_is_problem(answer, 400, "Bad Request", "[0].accountId: must be an account of the API key")
    two = {"authorization": tokens["two"]}
    answer = send(gateway, completed("ev_2"), **two)
    check_is_problem(answer, 400, "Bad Request", "[0].accountId: is required with respond-async")
    path = send(gateway, [{**completed("ev_2")[0], "accountId": "acct_2"}], **two).headers[
        "location"
    ]
    assert answered(gateway, path, **two).json["outcomes"][0]["updated"]
    ops = {"authorization": tokens["ops"]}
    path = send(gateway, completed("ev_3"), **ops).headers["location"]
    assert answered(gateway, path, **ops).json["outcomes"][0]["updated"]


def test_who_may_not_see_the_accounts_may_not_ask(
    service: Service, locked: tuple[Gateway, dict[str, str]]
) -> None:
    """Not even whether there is such a message, nor take its id."""
    gateway, tokens = locked
    service.start_worker()
    may = {"shop": {"shop", "two", "ops"}, "two": {"two", "ops"}, "ops": {"ops"}}
    for sender, seers in may.items():
        updates: list[dict[str, str]] = completed("ev_1")
        if sender == "two":
            updates = [
                {"id": f"ev_{n}", "status": "failed", "accountId": f"acct_{n}"} for n in (1, 2)
            ]
        answer = send(gateway, updates, idempotency_key=sender, authorization=tokens[sender])
        path = answer.headers["location"]
        assert answered(gateway, path, authorization=tokens[sender]).status == 200
        for name, token in tokens.items():
            seen = gateway.ask("GET", path, headers={"Authorization": token})
            if name in seers:
                assert seen.status == 200
            else:
                check_is_problem(seen, 404, "Not Found", "there is no such message")
        taken = send(
            gateway, completed("ev_2"), idempotency_key=sender, authorization=tokens["other"]
        )
        check_is_problem(taken, 409, "Conflict", "Idempotency-Key: is that of another request")


def test_another_message_under_the_same_id_is_not_shown(
    service: Service, locked: tuple[Gateway, dict[str, str]]
) -> None:
    """The queue takes any id: what another has sent under it stays its own."""
    gateway, tokens = locked
    shop = {"authorization": tokens["shop"]}
    path = send(gateway, completed("ev_1"), idempotency_key="same", **shop).headers["location"]
    publish(
        service,
        outcome("ev_2", "acct_2", message_id="same"),
        outcome("ev_1", "acct_2", message_id="same"),
        outcome("ev_2", None, message_id="same", updated=False, reason="not_found"),
        outcome("ev_9", "acct_1", message_id="same", index=1),
    )
    state = gateway.ask("GET", path, headers=shop).json
    assert (state["awaited"], state["outcomes"]) == (1, [])
    service.start_worker()
    (only,) = answered(gateway, path, **shop).json["outcomes"]
    assert (only["id"], only["accountId"], only["updated"]) == ("ev_1", "acct_1", True)


def test_a_body_is_bounded_as_at_once(gateways: Gateways) -> None:
    """And of the same type."""
    gateway = start(gateways, SETTLE_GATEWAY_BODY_MAX_BYTES="1024")
    prefer = {"Prefer": "respond-async"}
    answer = gateway.ask("PATCH", BATCH, json.dumps(completed("x" * 2_000)), {**JSON, **prefer})
    check_is_problem(answer, 413, "Content Too Large")
    check_is_problem(gateway.ask("PATCH", BATCH, "[]", prefer), 415, "Unsupported Media Type")
