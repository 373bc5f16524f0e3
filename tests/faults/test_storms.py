"""Breaking things under load. Every test ends with the same accounting: lost 0, wrong 0."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from tests.faults.conftest import LEASE_SECONDS

if TYPE_CHECKING:
    from tests.faults.conftest import Load
    from tests.service import Service
    from worker.embedded import Servers

CHANCE = random.Random(11)


@pytest.mark.parametrize("workers", [1, 2], ids=["one worker", "two workers"])
def test_killed_workers(service: Service, load: Load, workers: int) -> None:
    """A worker is killed at a random moment, again and again; another takes over."""
    running = [service.start_worker(SETTLE_LEASE_SECONDS=LEASE_SECONDS) for _ in range(workers)]
    for _ in range(5):
        time.sleep(CHANCE.uniform(0.05, 0.6))
        running.pop(0).kill()
        running.append(service.start_worker(SETTLE_LEASE_SECONDS=LEASE_SECONDS))
    load.finish()


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_killed_workers_of_other_pools(service: Service, load: Load, pool: str) -> None:
    """The transport and the strategy are the same in every pool."""
    worker = service.start_worker("--pool", pool, SETTLE_LEASE_SECONDS=LEASE_SECONDS)
    for _ in range(2):
        time.sleep(CHANCE.uniform(0.05, 0.6))
        worker.kill()
        worker = service.start_worker("--pool", pool, SETTLE_LEASE_SECONDS=LEASE_SECONDS)
    load.finish()


@pytest.mark.parametrize("immediate", [False, True], ids=["fast", "immediate"])
def test_a_restarted_database(
    service: Service, load: Load, own_servers: Servers, immediate: bool
) -> None:
    """Batches are held and tried again until it is back."""
    worker = service.start_worker(SETTLE_RETRY_MAX_WAIT_SECONDS="1")
    for _ in range(3):
        time.sleep(CHANCE.uniform(0.1, 0.6))
        own_servers.postgres.stop(immediate=immediate)
        time.sleep(0.3)
        own_servers.postgres.start()
    load.finish()
    assert worker.process.poll() is None


@pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])
def test_a_crashed_broker(service: Service, load: Load, own_servers: Servers, pool: str) -> None:
    """The broker, which is the result channel too, is killed and comes back with its log."""
    worker = service.start_worker("--pool", pool, SETTLE_LEASE_SECONDS=LEASE_SECONDS)
    for _ in range(3):
        time.sleep(CHANCE.uniform(0.2, 0.8))
        own_servers.redis.stop(immediate=True)
        time.sleep(0.3)
        own_servers.redis.start()
    load.finish()
    assert worker.process.poll() is None


@pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])
def test_a_stop_while_the_broker_is_away(
    service: Service, load: Load, own_servers: Servers, pool: str
) -> None:
    """The worker stops by itself, and what it held is settled by the next."""
    worker = service.start_worker("--pool", pool, SETTLE_LEASE_SECONDS=LEASE_SECONDS)
    worker.wait_for_log("Batch 20:")
    own_servers.redis.stop(immediate=True)
    worker.wait_for_log("Cannot connect")
    own_servers.redis.start()
    assert worker.stop() == 0
    service.start_worker("--pool", pool, SETTLE_LEASE_SECONDS=LEASE_SECONDS)
    load.finish()


def test_a_killed_pool_process(service: Service, load: Load) -> None:
    """What a child of prefork had in its slot is tried again in another."""
    worker = service.start_worker("--pool", "prefork", SETTLE_LEASE_SECONDS=LEASE_SECONDS)
    for _ in range(5):
        time.sleep(CHANCE.uniform(0.1, 0.5))
        CHANCE.choice(psutil.Process(worker.process.pid).children()).kill()
    load.finish()
    assert worker.stop() == 0


def test_cut_connections(service: Service, load: Load) -> None:
    """Sessions of the database and connections of the broker are killed in turn."""
    worker = service.start_worker(
        SETTLE_LEASE_SECONDS=LEASE_SECONDS, SETTLE_RETRY_MAX_WAIT_SECONDS="1"
    )
    with psycopg.connect(service.database_url, autocommit=True) as operator:
        for _ in range(6):
            time.sleep(CHANCE.uniform(0.1, 0.4))
            operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'settle'"
            )
            time.sleep(CHANCE.uniform(0.1, 0.4))
            service.redis.client_kill_filter(_type="normal", skipme=True)
    load.finish()
    assert worker.process.poll() is None
