"""A server goes away and comes back while the gateway serves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest
from redis.exceptions import RedisError

from tests.gateway import check_is_problem, completed, published
from tests.service import eventually

if TYPE_CHECKING:
    from tests.faults.rig import Rig
    from tests.gateway import Answer, Gateways


def check_is_away(answer: Answer, what: str) -> None:
    """Check that an answer says that a server does not answer, in the one form."""
    check_is_problem(answer, 503, "Service Unavailable", f"the {what} does not answer")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("immediate", [False, True], ids=["stopped", "crashed"])
def test_without_the_database_nothing_is_applied(
    unloaded_rig: Rig, gateways: Gateways, *, immediate: bool
) -> None:
    """A request is asked to come again, and settles when PostgreSQL is back."""
    service = unloaded_rig.service
    service.load("ev_1", "ev_2")
    gateway = gateways.start()
    assert gateway.patch(completed("ev_2")).status == 200
    unloaded_rig.postgres.stop(immediate=immediate)
    for _ in range(3):
        check_is_away(gateway.patch(completed("ev_1"), idempotency_key="key"), "database")
        check_is_away(gateway.get("ev_1"), "database")
        check_is_away(gateway.ask("GET", "/healthz"), "database or the result channel")
    assert len(published(service)) == 1
    unloaded_rig.postgres.start()
    eventually(lambda: gateway.ask("GET", "/healthz").status == 200)
    (outcome,) = gateway.patch(completed("ev_1"), idempotency_key="key").json
    assert outcome["updated"]
    log = gateway.log.read_text()
    assert log.count('"database is away"') == 1
    assert log.count('"settles again"') == 1
    assert "Traceback" not in log


def test_without_the_channel_nothing_more_is_applied(unloaded_rig: Rig, gateways: Gateways) -> None:
    """What was committed is published by itself when it is back, and a retry is told the same."""
    service = unloaded_rig.service
    service.load("ev_1", "ev_2")
    gateway = gateways.start()
    unloaded_rig.outcomes.stop(immediate=True)
    check_is_away(gateway.patch(completed("ev_1"), idempotency_key="first"), "result channel")
    for _ in range(3):
        check_is_away(gateway.patch(completed("ev_2"), idempotency_key="next"), "result channel")
        check_is_away(gateway.ask("GET", "/healthz"), "database or the result channel")
    rows = service.database.read_events(["ev_1", "ev_2"])
    assert [rows[id_].settled_by for id_ in ("ev_1", "ev_2")] == ["first", None]
    assert gateway.get("ev_1").json["completedAt"] is not None
    assert b"settle_gateway_unpublished_outcomes 1.0" in gateway.ask("GET", "/metrics").body

    unloaded_rig.outcomes.start()

    def is_published() -> bool:
        with suppress(RedisError):
            return bool(published(service))
        return False

    eventually(is_published)
    (outcome,) = published(service)
    assert (outcome["messageId"], outcome["id"], outcome["updated"]) == ("first", "ev_1", True)
    again = gateway.patch(completed("ev_1"), idempotency_key="first").json
    assert [{**outcome, "payload": {"a": 1}}] == again
    assert gateway.patch(completed("ev_2"), idempotency_key="next").json[0]["updated"]
    assert b"settle_gateway_unpublished_outcomes 0.0" in gateway.ask("GET", "/metrics").body
    assert "Traceback" not in gateway.log.read_text()


def test_what_is_unpublished_when_it_stops_is_logged(unloaded_rig: Rig, gateways: Gateways) -> None:
    """And to whoever repeats the request."""
    service = unloaded_rig.service
    service.load("ev_1")
    gateway = gateways.start()
    unloaded_rig.outcomes.stop(immediate=True)
    check_is_away(gateway.patch(completed("ev_1"), idempotency_key="key"), "result channel")
    assert gateway.stop() == 0
    gateway_log = gateway.log.read_text()
    assert '"outcomes not published", "outcomes": 1' in gateway_log
    assert "Traceback" not in gateway_log
    unloaded_rig.outcomes.start()
    assert gateways.start().patch(completed("ev_1"), idempotency_key="key").json[0]["updated"]
    assert [outcome["id"] for outcome in published(service)] == ["ev_1"]


def test_a_row_that_is_locked_for_long_is_asked_for_later(
    unloaded_rig: Rig, gateways: Gateways
) -> None:
    """The database gives the lock up; nothing of the request is applied until it is free."""
    service = unloaded_rig.service
    service.load("ev_1", "ev_2")
    gateway = gateways.start(SETTLE_LOCK_TIMEOUT_SECONDS="0.2")
    with psycopg.connect(service.database_url) as other:
        other.execute("SELECT FROM events WHERE id = 'ev_2' FOR UPDATE")
        check_is_away(gateway.patch(completed("ev_1", "ev_2"), idempotency_key="k"), "database")
    assert service.database.read_events(["ev_1"])["ev_1"].status is None
    outcomes = gateway.patch(completed("ev_1", "ev_2"), idempotency_key="k").json
    assert [one["updated"] for one in outcomes] == [True, True]


def test_a_database_that_hangs_keeps_nobody_waiting_for_ever(
    unloaded_rig: Rig, gateways: Gateways
) -> None:
    """A request is asked to come again."""
    unloaded_rig.service.load("ev_1")
    gateway = gateways.start(SETTLE_STATEMENT_TIMEOUT_SECONDS="0.5")
    assert gateway.ask("GET", "/healthz").status == 200
    with unloaded_rig.frozen_database():
        check_is_away(gateway.patch(completed("ev_1"), idempotency_key="key"), "database")
        check_is_away(gateway.get("ev_1"), "database")
        check_is_away(gateway.ask("GET", "/healthz"), "database or the result channel")
    (outcome,) = gateway.patch(completed("ev_1"), idempotency_key="key").json
    assert outcome["updated"]


def test_a_database_that_hangs_does_not_hold_up_a_stop(
    unloaded_rig: Rig, gateways: Gateways
) -> None:
    """Whoever waits is asked to come again, and the process ends without it."""
    unloaded_rig.service.load("ev_1")
    gateway = gateways.start(SETTLE_STOP_TIMEOUT_SECONDS="1")
    assert gateway.ask("GET", "/healthz").status == 200
    with unloaded_rig.frozen_database(), ThreadPoolExecutor() as pool:
        asked = pool.submit(gateway.patch, completed("ev_1"), idempotency_key="key")
        eventually(lambda: b"requests_open 1.0" in gateway.ask("GET", "/metrics").body)
        assert gateway.stop() == 1
        answer = asked.result()
        assert answer.status == 503
        assert "the service stops" in answer.json["message"]
    assert "the gateway ends without it" in gateway.log.read_text()
    (outcome,) = gateways.start().patch(completed("ev_1"), idempotency_key="key").json
    assert outcome["updated"]
