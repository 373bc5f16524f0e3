"""Another application on the same Redis database: neither takes what the other holds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.service import eventually
from tests.shop import shop_beside

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service import Service

pytestmark = pytest.mark.storms
LEASE_SECONDS = 1
# Of kombu's transport: it puts back at once what anybody holds, as far as it can see that.
HASTY = {"visibility_timeout": 0.1, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}


def inspect(service: Service) -> subprocess.CompletedProcess[str]:
    """Ask the workers something, with our own application."""
    command = [sys.executable, "-m", "celery", "-A", "worker", "inspect", "ping", "--timeout", "2"]
    environment = {
        **os.environ,
        **service.environment,
        "CELERY_BROKER_URL": service.users.operator,
        "SETTLE_LEASE_SECONDS": str(LEASE_SECONDS),
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_stock_application_keeps_what_it_holds(service: Service, tmp_path: Path) -> None:
    """Long tasks, prefetched ones and delayed ones, for many leases, while workers come and go."""
    ids = [f"ev_{number}" for number in range(20)]
    service.load(*ids)
    with shop_beside(service, tmp_path) as shop:
        shop.send("delayed", countdown=10 * LEASE_SECONDS)
        for parcel in ("long-1", "long-2"):
            shop.send(parcel, 12 * LEASE_SECONDS)
        parcels = [f"prefetched-{number}" for number in range(6)]
        for parcel in parcels:
            shop.send(parcel)
        held = 9
        eventually(lambda: service.redis.hlen("unacked") == held)
        before = service.redis.hgetall("unacked")
        for number, id_ in enumerate(ids):
            if number % 10 == 0:
                # As a user who may do anything: the documented one is kept from other queues.
                worker = service.start_worker(
                    SETTLE_LEASE_SECONDS=str(LEASE_SECONDS),
                    CELERY_BROKER_URL=service.redis_url,
                    SETTLE_OUTCOME_URL=service.redis_url,
                )
            sent = service.send(kwargs={"id": id_, "status": "completed"}, ignore_result=True)
            service.wait({sent.id: [id_]})
            if number == 9:
                worker.kill()
        assert "pong" in inspect(service).stdout
        assert service.operator.control.inspect(timeout=2).ping()
        # Those that are still going on have not moved.
        now = service.redis.hgetall("unacked")
        assert now.items() <= before.items()
        expected = Counter(
            f"{what} {parcel}"
            for what in ("begin", "end")
            for parcel in ("long-1", "long-2", "delayed", *parcels)
        )
        eventually(lambda: shop.notes().total() >= expected.total(), shop.notes)
        assert shop.notes() == expected
        assert not service.redis.exists("celery", "celery.retry", "celery.dead")
        eventually(lambda: not service.redis.exists("unacked", "unacked_index"))


def test_a_hasty_application_takes_nothing_of_ours(service: Service, tmp_path: Path) -> None:
    """Its own idea of how long a message may be held is for its own messages."""
    service.load("ev_1", "ev_2")
    with (
        shop_beside(service, tmp_path, **HASTY) as shop,
        service.database.engine.begin() as owner,
    ):
        owner.exec_driver_sql("SELECT 1 FROM events FOR UPDATE")
        service.start_worker(SETTLE_LOCK_TIMEOUT_SECONDS="2")
        sent = [
            service.send(kwargs={"id": id_, "status": "failed"}, ignore_result=True).id
            for id_ in ("ev_1", "ev_2")
        ]
        held = len(sent)
        eventually(lambda: service.redis.hlen("event-status-updates.unacked") == held)
        before = service.redis.hgetall("event-status-updates.unacked")
        shop.send("parcel")
        time.sleep(4)
        assert service.redis.hgetall("event-status-updates.unacked") == before
        assert service.redis.llen("event-status-updates") == 0
        owner.rollback()
        outcomes = service.wait(dict(zip(sent, (["ev_1"], ["ev_2"]), strict=True)))
    assert all(outcome.updated for answers in outcomes.values() for outcome in answers)
    assert service.channel.xlen("event-outcomes") == held
    service.wait_until_empty()
