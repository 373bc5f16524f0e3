"""Delayed messages are held by the broker, not by a worker; for a producer with only Celery."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.service import eventually

if TYPE_CHECKING:
    from tests.service import Service

DELAYED = "event-status-updates.delayed"
UNACKED = "event-status-updates.unacked"
HOUR_SECONDS = 3_600


def delayed(service: Service) -> int:
    """Return how many the broker holds until they are due."""
    return int(service.redis.zcard(DELAYED))


def send(service: Service, id_: str = "ev_1", **options: Any) -> Any:
    """Send an update."""
    update = {"id": id_, "status": "completed"}
    return service.send(kwargs=update, ignore_result=True, **options)


@pytest.mark.parametrize("shown", [(), ("-E",)], ids=["unseen", "shown to monitors"])
def test_no_worker_holds_what_is_not_due(service: Service, shown: tuple[str, ...]) -> None:
    """However many they are and however they are written; those behind them are settled."""
    service.load("ev_1")
    for _ in range(300):
        send(service, countdown=HOUR_SECONDS)
    send(service, countdown=HOUR_SECONDS, expires=2 * HOUR_SECONDS)
    send(service, countdown=HOUR_SECONDS, compression="bzip2")
    send(service, eta=datetime.now() + timedelta(days=36_500))  # noqa: DTZ005 - as people do
    send(service, eta="9999-12-31T23:59:59.999999+00:00")
    due = send(service)
    worker = service.start_worker(*shown)
    assert service.wait({due.id: ["ev_1"]})[due.id][0].updated
    eventually(lambda: delayed(service) == 304)
    eventually(
        lambda: not service.redis.exists("event-status-updates.unacked", "event-status-updates")
    )
    assert worker.stop() == 0
    assert (delayed(service), service.redis.llen("event-status-updates")) == (304, 0)


def test_what_is_due_is_settled_whichever_worker_is_left(service: Service) -> None:
    """The one that fetched it was killed, and Redis has forgotten its scripts."""
    service.load("ev_1", "ev_2")
    killed = service.start_worker()
    eta = datetime.now(UTC) + timedelta(seconds=2)
    first, second = send(service, eta=eta), send(service, "ev_2", eta=eta, priority=9)
    eventually(lambda: delayed(service) == 2)
    killed.kill()
    service.redis.script_flush()
    service.start_worker()
    by_message = service.wait({first.id: ["ev_1"], second.id: ["ev_2"]})
    for (outcome,) in by_message.values():
        assert outcome.updated
        assert isinstance(outcome.completed_at, datetime)
        assert outcome.completed_at >= eta
    service.wait_until_empty()


def test_what_is_revoked_or_expires_before_it_is_due_is_dropped(service: Service) -> None:
    """As if a worker held it meanwhile."""
    service.load("ev_1", "ev_2", "ev_3")
    service.start_worker()
    revoked = send(service, countdown=10)
    expired = send(service, "ev_2", countdown=10, expires=7)
    eventually(lambda: delayed(service) == 2)
    service.operator.control.revoke(revoked.id, reply=True)
    done = send(service, "ev_3", countdown=2)
    service.wait({done.id: ["ev_3"]})
    service.wait_until_empty()
    rows = service.database.read_events(["ev_1", "ev_2"])
    assert [rows[id_].status for id_ in ("ev_1", "ev_2")] == [None, None]
    log = service.workers[0].log.read_text()
    assert (revoked.id in log, expired.id in log) == (True, True)


@pytest.mark.parametrize(
    "eta",
    [
        pytest.param((datetime.now(UTC) - timedelta(days=1)).isoformat(), id="past"),
        pytest.param("0001-01-01T00:00:00+00:00", id="long past"),
        pytest.param("", id="none"),
    ],
)
def test_what_is_due_already_is_settled_at_once(service: Service, eta: str) -> None:
    """It waits for nothing."""
    service.load("ev_1")
    service.start_worker()
    sent = send(service, headers={"eta": eta})
    assert service.wait({sent.id: ["ev_1"]})[sent.id][0].updated
    assert delayed(service) == 0


@pytest.mark.parametrize("eta", ["tomorrow", "infinity", "2999-13-01T00:00:00+00:00", 1e300, [1]])
def test_a_time_that_is_none_is_answered(service: Service, eta: Any) -> None:
    """The message is not valid."""
    service.start_worker()
    sent = send(service, headers={"eta": eta})
    assert service.wait({sent.id: [""]})[sent.id][0].reason == "invalid"
    assert delayed(service) == 0


def test_what_somebody_delayed_by_hand_wakes_a_worker_that_waits(service: Service) -> None:
    """It is due while nothing is in the queue."""
    service.load("ev_1")
    sent = send(service)
    (item,) = service.redis.lrange("event-status-updates", 0, -1)
    service.redis.delete("event-status-updates")
    service.start_worker()
    service.redis.zadd(DELAYED, {f"tag\0event-status-updates\0{item}": time.time() + 1})
    assert service.wait({sent.id: ["ev_1"]})[sent.id][0].updated
