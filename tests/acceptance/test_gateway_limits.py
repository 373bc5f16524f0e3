"""Limits over HTTP: shared by gateways, of keys and accounts, and shown in every answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import http_sf
import pytest

from tests.gateway import (
    EVENTS,
    JSON,
    Gateway,
    Gateways,
    check_is_problem,
    completed,
    new_key,
    statuses,
)
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.gateway import Answer
    from tests.service import Service

# An account has so few that none flows in while a test lasts.
SCARCE = "\n".join(
    f'[[account]]\nid = "acct_{number}"\nupdates_per_second = 1' for number in (1, 2)
)
MANY = completed(*(f"ev_{number}" for number in range(600)))


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, dict[str, str]]:
    """Give the headers of each key's holder, and write the file."""
    accounts = {
        "shop": ("--account", "acct_1"),
        "till": ("--account", "acct_1"),
        "two": ("--account", "acct_1", "--account", "acct_2"),
        "ops": ("--all-accounts",),
    }
    drawn = {name: new_key(name, *options) for name, options in accounts.items()}
    entries = [text for _, text in drawn.values()]
    (tmp_path / "keys.toml").write_text("\n".join([*entries, SCARCE]))
    return {name: {"authorization": f"Bearer {token}"} for name, (token, _) in drawn.items()}


def start(gateways: Gateways, tmp_path: Path, **more: str) -> Gateway:
    """Start a gateway with these keys."""
    return gateways.start(SETTLE_GATEWAY_KEYS_FILE=str(tmp_path / "keys.toml"), **more)


def shown(answer: Answer, field: str = "ratelimit") -> dict[str, Any]:
    """Return what a field says, by policy."""
    items: Any = http_sf.parse(answer.headers[field].encode(), tltype="list")
    return dict(items)


def check_is_limited(answer: Answer, policy: str) -> None:
    """Check that a request was refused by a limit, and how."""
    check_is_problem(answer, 429, "Too Many Requests", f"{policy}: more than 1 ")
    wait = int(answer.headers["retry-after"])
    assert f"wait for {wait} s" in answer.json["message"]
    assert shown(answer)[policy]["r"] == 0
    assert 1 <= shown(answer)[policy]["t"] <= wait
    assert shown(answer, "ratelimit-policy")[policy]["q"] == 1


def test_gateways_share_the_limits_of_accounts(
    service: Service, gateways: Gateways, tmp_path: Path, keys: dict[str, dict[str, str]]
) -> None:
    """Several keys of one account have one limit, whichever gateway; other accounts their own."""
    service.load("ev_0", "ev_new")
    service.load("ev_other", account="acct_2")
    one, other = (start(gateways, tmp_path) for _ in range(2))
    first = one.patch(MANY, **keys["shop"])
    assert (first.status, shown(first)["account-updates"]["r"]) == (200, 0)
    assert shown(first)["account-updates"]["pk"] == b"acct_1"
    assert shown(first, "ratelimit-policy")["account-updates"]["qu"] == "updates"

    update = completed("ev_new")
    for name in ("shop", "till", "two"):
        for answer in (
            other.patch(update, **keys[name]),
            other.ask("PATCH", EVENTS, json.dumps(update[0]), {**JSON, **keys[name]}),
        ):
            check_is_limited(answer, "account-updates")
    named = [{**update[0], "accountId": "acct_1"}]
    check_is_limited(other.patch(named, **keys["ops"]), "account-updates")
    later = other.patch(named, prefer="respond-async", **keys["shop"])
    check_is_limited(later, "account-updates")
    new = [{"id": "ev_made", "accountId": "acct_1", "eventType": "t"}]
    check_is_limited(
        other.ask("POST", EVENTS, json.dumps(new), {**JSON, **keys["shop"]}), "account-updates"
    )
    assert statuses(service, "ev_new") == [None]

    others = [{**completed("ev_other")[0], "accountId": "acct_2"}]
    assert other.patch(others, **keys["two"]).json[0]["updated"]
    # Who only looks is held to no limit of updates.
    assert other.get("ev_new", **keys["shop"]).status == 200
    assert (
        "settle_gateway_limited_requests_total"
        in other.ask("GET", "/metrics", headers=keys["ops"]).body.decode()
    )


def test_nobody_is_charged_for_what_is_refused_before_it_is_sent(
    gateways: Gateways, tmp_path: Path, keys: dict[str, dict[str, str]]
) -> None:
    """Be it that no account is named, or that another request has the id."""
    producer = gateways.service.users.producer
    later = start(gateways, tmp_path, CELERY_BROKER_URL=producer)
    named = [{**update, "accountId": "acct_2"} for update in MANY]

    def send(updates: list[dict[str, str]], who: str, id_: str) -> Answer:
        return later.patch(updates, prefer="respond-async", idempotency_key=id_, **keys[who])

    assert send(MANY, "two", "unnamed").status == 400
    assert send(completed("ev_1"), "shop", "once").status == 202
    assert send(named, "two", "once").status == 409
    assert send(named, "two", "charged").status == 202
    check_is_limited(send(named, "two", "refused"), "account-updates")
    # What was refused has taken no id.
    assert later.ask("GET", "/v2/api/messages/refused", headers=keys["two"]).status == 404


def test_a_key_has_limits_of_its_own(service: Service, gateways: Gateways, tmp_path: Path) -> None:
    """Of requests whatever they ask for, and of updates whatever account they are of."""
    service.load("ev_new")
    lines = []
    keys = {}
    for name, limit in (("asks", "requests_per_second"), ("settles", "updates_per_second")):
        token, text = new_key(name, "--all-accounts")
        keys[name] = {"authorization": f"Bearer {token}"}
        lines.append(f"{text}{limit} = 1\n")
    (tmp_path / "keys.toml").write_text("".join(lines))
    one, other = (start(gateways, tmp_path) for _ in range(2))
    assert one.patch(MANY, **keys["settles"]).status == 200
    check_is_limited(other.patch(completed("ev_new"), **keys["settles"]), "key-updates")
    limited = until(429, lambda: other.get("ev_new", **keys["asks"]))
    check_is_limited(limited, "key-requests")
    check_is_limited(until(429, lambda: one.patch([7], **keys["asks"])), "key-requests")
    # What is not valid counts as well, and shows what is left.
    invalid = until(400, lambda: one.patch([7], **keys["asks"]))
    assert shown(invalid)["key-requests"]["r"] == 0
    assert statuses(service, "ev_new") == [None]


def until(status: int, ask: Callable[[], Answer]) -> Answer:
    """Ask until the answer has a status, and return it."""
    answers: list[Answer] = []

    def has_it() -> bool:
        answers.append(ask())
        return answers[-1].status == status

    eventually(has_it)
    return answers[-1]


def test_without_limits_nothing_is_shown(service: Service, gateway: Gateway) -> None:
    """And nothing is asked of Redis for it."""
    service.load("ev_1")
    answer = gateway.patch(completed("ev_1"))
    assert answer.status == 200
    assert not {"ratelimit", "ratelimit-policy"} & answer.headers.keys()
    assert service.channel.keys("event-limits:*") == []


def test_updates_are_settled_while_limits_cannot_be_shared(
    service: Service, gateways: Gateways, tmp_path: Path, keys: dict[str, dict[str, str]]
) -> None:
    """By a user of Redis that lacks the right: each process holds to the limits by itself."""
    service.load("ev_1")
    # Not the user that a gateway would be given instead.
    url = f"{service.users.worker}?client_name=gateway"
    one, other = (start(gateways, tmp_path, SETTLE_OUTCOME_URL=url) for _ in range(2))
    for gateway in (one, other):
        assert gateway.patch(MANY, **keys["shop"]).status == 200
        check_is_limited(gateway.patch(completed("ev_1"), **keys["shop"]), "account-updates")
        gateway.wait_for_log("limits are not shared")
        assert gateway.log.read_text().count("limits are not shared") == 1
    # Redis has a list of what was denied, and it is looked at.
    service.redis.execute_command("ACL", "LOG", "RESET")


def test_a_limit_counts_as_it_stands_in_the_file(
    service: Service, gateways: Gateways, tmp_path: Path, keys: dict[str, dict[str, str]]
) -> None:
    """Raised, it is raised at once."""
    service.load("ev_new")
    gateway = start(gateways, tmp_path)
    assert gateway.patch(MANY, **keys["shop"]).status == 200
    check_is_limited(gateway.patch(completed("ev_new"), **keys["shop"]), "account-updates")
    file = tmp_path / "keys.toml"
    file.write_text(file.read_text().replace("_second = 1", "_second = 1000000"))
    assert gateway.patch(completed("ev_new"), **keys["shop"]).json[0]["updated"]
