"""`GET /v2/api/events`: events listed over HTTP, by pages and from one page to the next."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from gateway.access.keys import as_toml, draw
from tests.gateway import EVENTS, Gateway, check_is_problem, completed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway import Answer, Gateways
    from tests.service import Service

IDS = [f"ev_{number:02}" for number in range(25)]


@pytest.fixture
def service(emptied_service: Service) -> Service:
    """Give what all of these tests share."""
    return emptied_service


@pytest.fixture
def gateway(service: Service, lasting_gateway: Gateway) -> Gateway:
    """Give the gateway that they share, and 25 pending events."""
    service.load(*IDS)
    return lasting_gateway


def listed(gateway: Gateway, headers: dict[str, str] | None = None, **parameters: Any) -> Answer:
    """Ask for a list."""
    query = f"?{urlencode(parameters)}" if parameters else ""
    return gateway.ask("GET", f"{EVENTS}{query}", headers=headers)


def ids(answer: Answer) -> list[str]:
    """Return which events were listed."""
    assert answer.status == 200, answer
    return [event["id"] for event in answer.json]


def next_of(answer: Answer) -> str | None:
    """Return where the next page is, as RFC 8288 has it."""
    link = answer.headers.get("link")
    found = link and re.fullmatch(r'<(.+)>; rel="next"', link)
    return found and found[1]


def through(gateway: Gateway, first: Answer) -> Iterator[Answer]:
    """Follow a list to its end."""
    answer = first
    yield answer
    while path := next_of(answer):
        answer = gateway.ask("GET", path)
        yield answer


def test_the_documented_pages(gateway: Gateway) -> None:
    """Ten a page unless said otherwise, from page 1; beyond the last there is nothing."""
    assert ids(listed(gateway)) == IDS[:10]
    assert ids(listed(gateway, page=2)) == IDS[10:20]
    assert ids(listed(gateway, page=2, pageSize=20)) == IDS[20:]
    assert ids(listed(gateway, pageSize=1_000)) == IDS
    assert ids(listed(gateway, page=9)) == []


def test_an_event_is_listed_as_it_is_shown(gateway: Gateway) -> None:
    """With all documented attributes."""
    assert listed(gateway, pageSize=1).json == [gateway.get("ev_00").json]


def test_lists_by_status_and_type(gateway: Gateway) -> None:
    """As documented, and together."""
    gateway.patch(completed("ev_01", "ev_03"))
    gateway.patch([{"id": "ev_02", "status": "failed"}])
    assert ids(listed(gateway, status="completed")) == ["ev_01", "ev_03"]
    assert ids(listed(gateway, status="failed")) == ["ev_02"]
    assert ids(listed(gateway, status="pending", pageSize=3)) == ["ev_00", "ev_04", "ev_05"]
    assert ids(listed(gateway, status="failed", event_type="order.created")) == ["ev_02"]
    assert ids(listed(gateway, event_type="nothing")) == []


def test_lists_by_time_and_account(service: Service, gateway: Gateway) -> None:
    """Later than, earlier than, and of."""
    service.load("mine", account="acct_other")
    with service.database.engine.begin() as owner:
        owner.exec_driver_sql("UPDATE events SET created_at = '2026-01-02Z' WHERE id = 'ev_07'")
    assert ids(listed(gateway, created_before="2026-01-02T00:00:01Z")) == ["ev_07"]
    assert ids(listed(gateway, created_before="2026-01-02T00:00:00Z")) == []
    assert ids(listed(gateway, created_after="2026-01-02T01:00:00+01:00", pageSize=1)) != ["ev_07"]
    assert ids(listed(gateway, accountId="acct_other")) == ["mine"]
    assert ids(listed(gateway, accountId="nobody")) == []


def test_the_next_page_is_named_until_the_end(gateway: Gateway) -> None:
    """With the same filters; also from a page, where the list goes on by the cursor."""
    answers = list(through(gateway, listed(gateway, status="pending", pageSize=10)))
    assert [ids(answer) for answer in answers] == [IDS[:10], IDS[10:20], IDS[20:]]
    answers = list(through(gateway, listed(gateway, page=2)))
    assert [ids(answer) for answer in answers] == [IDS[10:20], IDS[20:]]
    assert next_of(listed(gateway, pageSize=25)) is None


def test_what_is_settled_between_two_pages_hides_nothing(gateway: Gateway) -> None:
    """As it does with pages; whoever follows the links sees all that stays pending."""
    seen: list[str] = []
    for answer in through(gateway, listed(gateway, status="pending", pageSize=5)):
        page = ids(answer)
        gateway.patch(completed(*page[:3]))
        seen += page
    assert seen == IDS
    gateway.patch(completed(*ids(listed(gateway, status="pending", pageSize=5))))
    assert ids(listed(gateway, status="pending", page=2, pageSize=5)) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("status=done", "status: must be pending, completed or failed, got 'done'"),
        ("page=0", "page: must be a whole number from 1"),
        ("pageSize=1001", "pageSize: must be a whole number from 1 to 1,000"),
        ("created_after=now", "created_after: must be a time with its zone"),
        ("after=AAAA", "after: must be taken as it is from the header Link"),
        ("pagesize=5", "'pagesize' is no parameter of this list"),
        ("status=pending&status=failed", "status: must be given once"),
        ("event_type=%00", "event_type: contains NUL"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_not_valid_is_refused(gateway: Gateway, query: str, message: str) -> None:
    """By its name."""
    check_is_problem(gateway.ask("GET", f"{EVENTS}?{query}"), 400, "Bad Request", message)


def test_a_cursor_opens_nothing(service: Service, gateway: Gateway, gateways: Gateways) -> None:
    """One that a key with more accounts was given lists the events of the key that shows it."""
    service.load("zz_1", account="acct_2")
    shop, text = draw("shop", ["acct_2"])
    keys = service.folder / "keys.toml"
    keys.write_text(as_toml(text))
    locked = gateways.start(SETTLE_GATEWAY_KEYS_FILE=str(keys))
    path = next_of(listed(gateway)) or ""
    headers = {"Authorization": f"Bearer {shop}"}
    assert ids(locked.ask("GET", path, headers=headers)) == ["zz_1"]
    for parameters in ({}, {"status": "pending"}, {"page": 1, "pageSize": 1_000}):
        assert ids(listed(locked, headers, **parameters)) == ["zz_1"]
    assert ids(listed(locked, headers, accountId="acct_1")) == []


def test_a_cursor_that_was_changed_is_refused(gateway: Gateway) -> None:
    """Cut, lengthened, or of another list of characters."""
    link = next_of(listed(gateway, status="pending")) or ""
    for changed in (link[:-1], f"{link}A", link.replace("after=", "after=A"), f"{link}%00"):
        check_is_problem(gateway.ask("GET", changed), 400, "Bad Request", "after: must be taken")
    assert gateway.ask("GET", link).status == 200
    assert gateway.ask("HEAD", EVENTS).status == 200


def test_a_list_that_takes_too_long_is_given_up(service: Service, gateway: Gateway) -> None:
    """With what to do; and other questions are answered meanwhile."""
    with service.database.engine.begin() as owner, ThreadPoolExecutor(8) as threads:
        # Nobody reads it for as long as this transaction lasts.
        owner.exec_driver_sql("LOCK TABLE pending_events IN ACCESS EXCLUSIVE MODE")
        lists = [threads.submit(listed, gateway, status="pending") for _ in range(8)]
        assert gateway.get("ev_00").status == 200
        assert not any(one.done() for one in lists[-4:])
        answers = [one.result() for one in lists[:4]]
    for answer in answers:
        check_is_problem(answer, 503, "Service Unavailable", "the list passes over too many")
        assert answer.headers["retry-after"] == "1"
