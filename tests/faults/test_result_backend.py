"""Celery's result backend is away, or silent: nothing waits for it, nothing is told twice."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import redis

from cli.embedded import Redis, temporary_folder
from tests.faults.network import Link
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.rig import Rig
    from tests.service import Service

RABBITMQ = pytest.param("RabbitMQ", marks=pytest.mark.rabbitmq)
BROKERS = pytest.mark.parametrize("unloaded_rig", ["Redis", RABBITMQ], indirect=True)
POOLS = pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])
COUNT = 30
LONGER_THAN_A_TEST_SECONDS = 600
ROWS = ("first", "last")
# Not as an option: RabbitMQ itself would drop it.
EXPIRED = {"expires": "2020-01-01T00:00:00+00:00"}


@pytest.fixture
def backend() -> Iterator[Redis]:
    """Give a backend of its own, which may be stopped."""
    with temporary_folder() as folder, Redis(folder / "backend") as server:
        yield server


def send(service: Service, **options: Any) -> dict[str, bool]:
    """Send messages; return by their ids whether a result is wanted."""
    ids = [f"ev_{number}" for number in range(COUNT)]
    service.load(*ids)
    wanted = {}
    for number, id_ in enumerate(ids):
        ignored = bool(number % 2)
        sent = service.send(
            kwargs={"id": id_, "status": "completed"}, ignore_result=ignored, **options
        )
        wanted[sent.id] = not ignored
    return wanted


def told(service: Service) -> Counter[str]:
    """Return how many outcomes each message has."""
    entries = service.channel.xrange("event-outcomes")
    return Counter(json.loads(fields["outcome"])["messageId"] for _, fields in entries)


def states(server: Redis, ids: Any) -> dict[str, str]:
    """Return the states of the results that there are."""
    with redis.Redis.from_url(server.url) as client:
        found = {id_: client.get(f"celery-task-meta-{id_}") for id_ in ids}
    return {id_: json.loads(meta)["status"] for id_, meta in found.items() if meta}


@BROKERS
@POOLS
def test_nothing_waits_for_a_backend_that_is_away(
    unloaded_rig: Rig, backend: Redis, pool: str
) -> None:
    """All is settled, told once and acknowledged; results come when the backend does."""
    service = unloaded_rig.service
    unloaded_rig.options = ("--pool", pool)
    worker = unloaded_rig.start_worker(CELERY_RESULT_BACKEND=backend.url)
    backend.stop(immediate=True)
    wanted = send(service)
    service.wait_until_empty()
    worker.wait_for_log("results are not stored")
    assert told(service) == dict.fromkeys(wanted, 1)
    assert "batches are held" not in worker.log.read_text()
    backend.start()
    asked = [id_ for id_, is_wanted in wanted.items() if is_wanted]
    eventually(lambda: states(backend, wanted) == dict.fromkeys(asked, "SUCCESS"))
    worker.wait_for_log("results are stored again")
    assert told(service) == dict.fromkeys(wanted, 1)


@BROKERS
def test_nothing_waits_for_a_backend_that_never_answers(unloaded_rig: Rig, backend: Redis) -> None:
    """One that takes connections and says nothing is away, too."""
    service = unloaded_rig.service
    with Link(backend.port) as link:
        link.silent = True
        url = f"{link.through(backend.url)}?socket_timeout={LONGER_THAN_A_TEST_SECONDS}"
        unloaded_rig.start_worker(CELERY_RESULT_BACKEND=url)
        wanted = send(service)
        service.wait_until_empty()
        assert told(service) == dict.fromkeys(wanted, 1)


@BROKERS
@pytest.mark.parametrize("away", [True, False], ids=["away", "there"])
def test_what_has_expired_is_dropped_and_the_rest_settled(
    unloaded_rig: Rig, backend: Redis, away: bool
) -> None:
    """That a message was dropped is a result, too, and as little waited for."""
    service = unloaded_rig.service
    if away:
        backend.stop(immediate=True)
    service.load(*ROWS)
    late = [service.send(kwargs={"id": id_, "status": "failed"}, headers=EXPIRED) for id_ in ROWS]
    wanted = send(service)
    worker = unloaded_rig.start_worker(CELERY_RESULT_BACKEND=backend.url)
    service.wait_until_empty()
    assert told(service) == dict.fromkeys(wanted, 1)
    assert "broker is away" not in worker.log.read_text()
    if away:
        backend.start()
    expected = {id_: "SUCCESS" for id_, is_wanted in wanted.items() if is_wanted}
    expected |= {one.id: "REVOKED" for one in late}
    eventually(lambda: states(backend, expected) == expected, lambda: states(backend, expected))
    rows = service.database.read_events(ROWS)
    assert [row.status for row in rows.values()] == [None, None]


@POOLS
def test_a_result_is_stored_before_a_clean_stop_is_over(
    unloaded_rig: Rig, backend: Redis, pool: str
) -> None:
    """While the backend serves, a message is not acknowledged before."""
    unloaded_rig.options = ("--pool", pool)
    worker = unloaded_rig.start_worker(CELERY_RESULT_BACKEND=backend.url)
    wanted = send(unloaded_rig.service)
    unloaded_rig.service.wait_until_empty()
    worker.kill()
    asked = [id_ for id_, is_wanted in wanted.items() if is_wanted]
    assert states(backend, wanted) == dict.fromkeys(asked, "SUCCESS")
