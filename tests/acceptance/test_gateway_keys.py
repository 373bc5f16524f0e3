"""API keys: who is let in, and whose events there are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.gateway import (
    BATCH,
    JSON,
    Gateway,
    Gateways,
    check_is_problem,
    completed,
    new_key,
    path_of,
    statuses,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service import Service


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[str, str]]:
    """Give the keys of a shop, of one that has two accounts, and of an operator."""
    return {
        "shop": new_key("shop", "--account", "acct_1"),
        "two": new_key("two", "--account", "acct_1", "--account", "acct_2"),
        "ops": new_key("ops", "--all-accounts"),
    }


@pytest.fixture
def keys_file(tmp_path: Path, drawn: dict[str, tuple[str, str]]) -> Path:
    """Write the file with those keys, and what each holder sends beside it."""
    path = tmp_path / "keys.toml"
    path.write_text("\n".join(text for _, text in drawn.values()))
    for name, (token, _) in drawn.items():
        (tmp_path / name).write_text(f"Bearer {token}")
    return path


@pytest.fixture
def locked(service: Service, gateways: Gateways, keys_file: Path) -> Gateway:
    """Give a gateway with those keys, and an event of each of three accounts."""
    for number in (1, 2, 3):
        service.load(f"ev_{number}", account=f"acct_{number}")
    return gateways.start(SETTLE_GATEWAY_KEYS_FILE=str(keys_file))


def holder(keys_file: Path, name: str) -> dict[str, str]:
    """Return the header that somebody sends."""
    return {"authorization": (keys_file.parent / name).read_text()}


def test_without_a_key_nobody_is_served(service: Service, locked: Gateway, keys_file: Path) -> None:
    """But for whether the service is well, everything needs one."""
    wrong = {"authorization": holder(keys_file, "shop")["authorization"] + "x"}
    for headers in ({}, wrong, {"authorization": "Basic c2hvcDo="}):
        for answer in (
            locked.patch(completed("ev_1"), **headers),
            locked.get("ev_1", **headers),
            locked.ask("GET", "/metrics", headers=headers),
        ):
            check_is_problem(answer, 401, "Unauthorized", "Authorization: ")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert statuses(service, "ev_1") == [None]
    assert locked.ask("GET", "/healthz").status == 200
    metrics = locked.ask("GET", "/metrics", headers=holder(keys_file, "shop"))
    assert b"settle_gateway_requests_total" in metrics.body
    token = holder(keys_file, "shop")["authorization"].split()[-1]
    assert token not in locked.log.read_text()


@pytest.mark.parametrize(("name", "numbers"), [("shop", {1}), ("two", {1, 2}), ("ops", {1, 2, 3})])
def test_a_key_opens_the_events_of_its_accounts(
    service: Service, locked: Gateway, keys_file: Path, name: str, numbers: set[int]
) -> None:
    """The others are as if they were not there, and stay as they are."""
    key = holder(keys_file, name)
    ids = ["ev_1", "ev_2", "ev_3"]
    theirs = [number in numbers for number in (1, 2, 3)]
    assert [locked.get(id_, **key).status == 200 for id_ in ids] == theirs
    # Named or not, the account of an event is what counts.
    answer = locked.patch(
        [{**one, "accountId": "acct_1"} for one in completed("ev_2", "ev_3")], **key
    )
    assert [one["reason"] for one in answer.json] == ["not_found"] * 2
    answer = locked.patch(
        [{"id": f"ev_{n}", "status": "failed", "accountId": f"acct_{n}"} for n in (1, 2, 3)], **key
    )
    assert [one["updated"] for one in answer.json] == theirs
    hidden = [one for one in answer.json if not one["updated"]]
    assert {one["reason"] for one in hidden} <= {"not_found"}
    of_the_event = ("accountId", "eventType", "createdAt", "completedAt", "failedAt")
    assert {one[name] for one in hidden for name in of_the_event} <= {None}
    assert [status is not None for status in statuses(service, *ids)] == theirs
    assert [locked.get(id_, **key).status for id_ in ids] == [
        200 if is_theirs else 404 for is_theirs in theirs
    ]


def test_what_another_account_has_settled_stays_hidden(
    service: Service, locked: Gateway, keys_file: Path
) -> None:
    """Also to whoever uses its Idempotency-Key."""
    ops, shop = holder(keys_file, "ops"), holder(keys_file, "shop")
    locked.patch(completed("ev_2"), idempotency_key="m", **ops)
    answer = locked.patch(completed("ev_2"), idempotency_key="m", **shop)
    assert [one["reason"] for one in answer.json] == ["not_found"]
    check_is_problem(locked.get("ev_2", **shop), 404, "Not Found", "no such event")
    assert statuses(service, "ev_2") == ["completed"]


def test_a_keys_file_counts_as_it_stands(locked: Gateway, keys_file: Path) -> None:
    """A revoked key is refused, a new one serves; a file that broke leaves the old ones."""
    shop, ops = holder(keys_file, "shop"), holder(keys_file, "ops")
    token, text = new_key("new", "--account", "acct_1")
    keys_file.write_text(text)
    check_is_problem(locked.get("ev_1", **ops), 401, "Unauthorized")
    assert locked.get("ev_1", authorization=f"Bearer {token}").status == 200
    keys_file.write_text("[[key")
    assert locked.get("ev_1", authorization=f"Bearer {token}").status == 200
    check_is_problem(locked.get("ev_1", **shop), 401, "Unauthorized")
    locked.wait_for_log("keys not read again")


def test_without_keys_only_this_machine_is_served(gateway: Gateway, service: Service) -> None:
    """A page in a browser may reach it by a name of its own; that name is not served."""
    answer = gateway.ask(
        "PATCH", BATCH, json.dumps(completed("ev_1")), {**JSON, "Host": "rebound.example"}
    )
    check_is_problem(answer, 401, "Unauthorized", "Host: ")
    assert statuses(service, "ev_1") == [None]
    assert gateway.ask("GET", path_of("ev_1"), headers={"Host": "localhost"}).status == 200


def test_with_keys_any_name_is_served(locked: Gateway, keys_file: Path) -> None:
    """As a proxy in front passes it on."""
    headers = {"Host": "api.example", **holder(keys_file, "shop")}
    assert locked.ask("GET", path_of("ev_1"), headers=headers).status == 200


def test_with_keys_it_is_opened_to_others(
    service: Service, gateways: Gateways, keys_file: Path
) -> None:
    """On every address of the machine."""
    service.load("ev_1")
    gateway = gateways.start(host="0.0.0.0", SETTLE_GATEWAY_KEYS_FILE=str(keys_file))  # noqa: S104
    assert gateway.get("ev_1", **holder(keys_file, "shop")).status == 200
