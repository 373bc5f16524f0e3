"""Workers as operators run them: pools, several at once, stopped under load, inspected."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.service import eventually

if TYPE_CHECKING:
    from tests.service import Service

pytestmark = pytest.mark.storms

POOLS = ["threads", "prefork", "solo"]


def send_singles(service: Service, ids: list[str]) -> dict[str, list[str]]:
    """Send a message for each event, and return the event ids by message id."""
    with service.producer.producer_or_acquire() as producer:
        return {
            service.send(
                kwargs={"id": id_, "status": "completed"}, producer=producer, ignore_result=True
            ).id: [id_]
            for id_ in ids
        }


@pytest.mark.parametrize("pool", POOLS)
def test_every_pool_settles(service: Service, pool: str) -> None:
    """Threads by default; prefork and solo settle just the same, results included."""
    ids = [f"ev_{number}" for number in range(300)]
    service.load(*ids)
    worker = service.start_worker("--pool", pool, CELERY_RESULT_BACKEND=service.users.worker)
    worker.wait_for_log(f'"pool": "{pool.removesuffix("s")}"')
    messages = send_singles(service, ids[:200])
    # What comes later may be in another slot, and overtake them.
    service.wait(messages)
    bulk = service.send(args=[[{"id": id_, "status": "failed"} for id_ in ids[150:]]])
    outcomes = bulk.get(timeout=60)
    assert Counter(one["reason"] for one in outcomes) == {"already_completed": 50, None: 100}
    service.wait_until_empty()
    rows = service.database.read_events(ids)
    assert Counter(row.status for row in rows.values()) == {"completed": 200, "failed": 100}


@pytest.mark.parametrize("pool", POOLS)
def test_a_stop_under_load_loses_nothing(service: Service, pool: str) -> None:
    """What is held is finished, the rest is back in the queue at once, the next worker has it."""
    ids = [f"ev_{number}" for number in range(1_200)]
    service.load(*ids)
    first = service.start_worker("--pool", pool)
    messages = send_singles(service, ids)
    assert first.stop() == 0
    assert "Traceback" not in first.log.read_text()
    assert service.redis.hlen("event-status-updates.unacked") == 0
    answered = service.redis.xlen("event-outcomes")
    assert answered > 0
    assert answered + service.redis.llen("event-status-updates") == len(ids)

    service.start_worker("--pool", pool)
    by_message = service.wait(messages)
    service.wait_until_empty()
    assert all(outcome.updated for (outcome,) in by_message.values())
    assert service.redis.xlen("event-outcomes") == len(ids)


def test_two_workers_share_the_queue(service: Service) -> None:
    """Overlapping updates from one queue: one winner an event, and the losers are told truly."""
    ids = [f"ev_{number}" for number in range(400)]
    service.load(*ids)
    workers = [service.start_worker(), service.start_worker()]
    messages: dict[str, list[str]] = {}
    for status in ("completed", "failed", "completed"):
        for start in range(0, len(ids), 20):
            chunk = ids[start : start + 20]
            sent = service.send(args=[[{"id": id_, "status": status} for id_ in chunk]])
            messages[sent.id] = chunk
    by_message = service.wait(messages)
    service.wait_until_empty()

    rows = service.database.read_events(ids)
    winners = Counter(one.id for many in by_message.values() for one in many if one.updated)
    assert winners == dict.fromkeys(ids, 1)
    for message_id, outcomes in by_message.items():
        for outcome in outcomes:
            row = rows[outcome.id or ""]
            if outcome.updated:
                assert row.settled_by == message_id
            else:
                assert outcome.reason == f"already_{row.status}"
    assert all("batch settled" in worker.log.read_text() for worker in workers)


def test_a_lonely_update_does_not_wait_for_company(service: Service) -> None:
    """It leaves because a slot is free, not because its batch is due."""
    service.load("ev_1")
    worker = service.start_worker(SETTLE_BATCH_MAX_WAIT_SECONDS="60")
    service.wait(send_singles(service, ["ev_1"]))
    worker.wait_for_log('"why": "slot"')


def test_the_payload_is_in_the_outcome_where_configured(service: Service) -> None:
    """A setting adds it to the channel."""
    service.load("ev_1")
    service.start_worker(SETTLE_OUTCOME_PAYLOAD="true")
    service.wait(send_singles(service, ["ev_1"]))
    ((_, fields),) = service.redis.xrange("event-outcomes")
    assert json.loads(fields["outcome"])["payload"] == {"a": 1}


def test_a_worker_answers_inspection(service: Service) -> None:
    """Ping, active and stats work while it consumes."""
    service.load("ev_1")
    service.start_worker()
    service.wait(send_singles(service, ["ev_1"]))
    service.wait_until_empty()
    inspect = service.operator.control.inspect(timeout=10, limit=1)
    (answer,) = inspect.ping().values()
    assert answer == {"ok": "pong"}
    (stats,) = inspect.stats().values()
    assert stats["total"] == {"events.update_status": 1}
    assert inspect.active()


def test_a_worker_waits_for_its_database(service: Service) -> None:
    """Messages go back, and are tried again, until the table is there; nothing is dropped."""
    service.load("ev_1")
    with service.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE events RENAME TO elsewhere")
    worker = service.start_worker()
    messages = send_singles(service, ["ev_1"])
    worker.wait_for_log("batch goes back")
    with service.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO events")
    ((outcome,),) = service.wait(messages).values()
    assert outcome.updated


def test_a_worker_refuses_settings_that_cannot_work(service: Service) -> None:
    """One line that names the variable, and no traceback."""
    environment = {"PATH": "/usr/bin:/bin", "SETTLE_BATCH_MAX_UPDATES": "none"}
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "worker"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("settle: SETTLE_BATCH_MAX_UPDATES: must be")
    assert ended.stderr.count("\n") == 1
    assert service.redis.dbsize() == 0


def test_a_lost_connection_is_survived(service: Service) -> None:
    """What was fetched and not yet acknowledged is delivered again and answered the same."""
    ids = [f"ev_{number}" for number in range(600)]
    service.load(*ids)
    worker = service.start_worker()
    messages = send_singles(service, ids)
    eventually(lambda: service.redis.xlen("event-outcomes") > 0)
    service.redis.client_kill_filter(_type="normal", skipme=True)
    by_message = service.wait(messages)
    assert all(outcome.updated for many in by_message.values() for outcome in many)
    assert worker.process.poll() is None


def test_an_operator_sees_and_steers_what_is_in_batches(service: Service) -> None:
    """Active, reserved, looked up, revoked; more slots; stopped and begun again; shut down."""
    ids = [f"ev_{number}" for number in range(6)]
    service.load(*ids)
    with service.database.engine.begin() as blocker:
        blocker.exec_driver_sql("SELECT FROM events WHERE id = 'ev_0' FOR UPDATE")
        # Nobody gives the lock up meanwhile: nothing but more slots lets the others in.
        worker = service.start_worker(
            *("--concurrency", "1"),
            SETTLE_LOCK_TIMEOUT_SECONDS="600",
            SETTLE_STATEMENT_TIMEOUT_SECONDS="600",
        )
        first = service.send(kwargs={"id": "ev_0", "status": "completed"})
        inspect = service.operator.control.inspect(timeout=10, limit=1)
        eventually(lambda: ids_of(inspect.active()) == [first.id])
        waiting = [service.send(kwargs={"id": id_, "status": "completed"}) for id_ in ids[1:]]
        eventually(lambda: ids_of(inspect.reserved()) == [sent.id for sent in waiting])
        (found,) = inspect.query_task(first.id, waiting[0].id).values()
        assert {id_: what for id_, (what, _) in found.items()} == {
            first.id: "active",
            waiting[0].id: "reserved",
        }
        service.operator.control.revoke(waiting[0].id)
        eventually(lambda: waiting[0].id in next(iter(inspect.revoked().values())))
        service.operator.control.pool_grow(1)
        by_message = service.wait(
            {sent.id: [id_] for sent, id_ in zip(waiting[1:], ids[2:], strict=True)}
        )
        assert all(outcome.updated for many in by_message.values() for outcome in many)
    service.wait({first.id: ["ev_0"]})
    assert service.database.read_events(["ev_1"])["ev_1"].status is None

    service.operator.control.cancel_consumer("event-status-updates")
    eventually(lambda: inspect.active_queues() == {} or not any(inspect.active_queues().values()))
    last = service.send(kwargs={"id": "ev_1", "status": "failed"})
    assert service.redis.llen("event-status-updates") == 1
    service.operator.control.add_consumer("event-status-updates")
    service.wait({last.id: ["ev_1"]})
    service.operator.control.shutdown()
    assert worker.process.wait(timeout=30) == 0


def test_a_rate_limit_is_kept(service: Service) -> None:
    """No faster than an operator allows, and at full speed again when it is lifted."""
    ids = [f"ev_{number}" for number in range(50)]
    service.load(*ids)
    worker = service.start_worker()
    worker.wait_for_log("ready.")
    answer = service.operator.control.rate_limit(
        "events.update_status", "1/m", reply=True, timeout=10, limit=1
    )
    assert "ok" in next(iter(answer[0].values()))
    messages = send_singles(service, ids)
    eventually(lambda: service.redis.xlen("event-outcomes") == 1)
    inspect = service.operator.control.inspect(timeout=10, limit=1)
    eventually(lambda: len(ids_of(inspect.reserved())) == 49)
    assert service.redis.xlen("event-outcomes") == 1
    service.operator.control.rate_limit("events.update_status", 0)
    service.wait(messages)


def ids_of(answer: dict[str, list[dict[str, str]]] | None) -> list[str]:
    """Return the ids in the answer of one worker."""
    return [info["id"] for infos in (answer or {}).values() for info in infos]
