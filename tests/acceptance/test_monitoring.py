"""What a worker shows those who watch it, over HTTP and in its file, while servers come and go."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from settle_client.names import QUEUE
from settle_client.producer import Producer
from tests.service import PATIENCE_SECONDS, eventually
from tests.watching import Watched

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service import Service

pytestmark = pytest.mark.storms


@pytest.fixture
def watched() -> Watched:
    """Give a port."""
    return Watched()


def probe(question: str, file: Path) -> subprocess.CompletedProcess[str]:
    """Run `settle health`."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "health", question],
        env={**os.environ, "SETTLE_HEALTH_FILE": str(file)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])
def test_the_metrics_agree_with_what_happened(
    service: Service, watched: Watched, pool: str
) -> None:
    """Every update is counted once, by outcome, whatever the pool."""
    service.load(*(f"ev_{number}" for number in range(40)))
    service.start_worker("--pool", pool, **watched.settings)
    with Producer(service.users.producer) as producer:
        messages = {
            producer.send({"id": f"ev_{n}", "status": "completed"}): [f"ev_{n}"] for n in range(30)
        }
    service.wait(messages)
    bulk = [{"id": f"ev_{n}", "status": "failed"} for n in range(25, 40)]
    others = service.send(args=[[*bulk, {"id": "ev_1", "status": "lost"}, {**bulk[0], "id": "?"}]])
    service.wait({others.id: ["ev_39"]})
    nonsense = service.send(args=["nonsense"], headers={"sent_at": time.time()})
    service.wait_until_empty()
    assert nonsense.id

    eventually(lambda: watched.metrics()["settle_slots_taken"] == 0, watched.metrics)
    metrics = watched.metrics()
    assert {name: metrics[f"settle_updates_total[{name}]"] for name in OUTCOMES} == {
        "updated": 40,
        "already_completed": 5,
        "already_failed": 0,
        "not_found": 1,
        "refused": 0,
        "invalid": 2,
    }
    assert metrics["settle_dead_letters_total"] == 2
    assert metrics["settle_messages_fetched_total[plain]"] == 30
    assert metrics["settle_messages_fetched_total[other]"] == 2
    batches = sum(
        metrics[f"settle_batches_total[{why}]"] for why in ("size", "slot", "age", "stop")
    )
    assert metrics["settle_batch_updates_sum"] == 48
    assert metrics["settle_batch_updates_count"] == batches
    assert metrics["settle_batch_step_seconds_count[acknowledging]"] == batches
    # The one of them without the header was in a batch of its own.
    assert metrics["settle_latency_seconds_count"] == batches - 1
    assert 0 < metrics["settle_latency_seconds_sum"] < PATIENCE_SECONDS
    assert metrics["settle_held_updates[slots]"] == metrics["settle_held_updates[waiting]"] == 0
    assert (
        metrics["settle_batches_retried_total"] == metrics["settle_batches_given_back_total"] == 0
    )
    assert metrics["settle_live"] == 1
    eventually(lambda: watched.metrics()["settle_dead_letters_kept"] == 2, watched.metrics)


OUTCOMES = ("updated", "already_completed", "already_failed", "not_found", "refused", "invalid")


def test_the_queue_is_sampled(service: Service, watched: Watched) -> None:
    """How much waits, of all priorities, and how long the oldest has waited."""
    worker = service.start_worker(**watched.settings)
    service.operator.control.cancel_consumer(QUEUE, reply=True, limit=1, timeout=10)
    service.send(args=[[]], headers={"sent_at": time.time() - 3_600})
    service.send(args=[[]], headers={"sent_at": time.time()})
    service.send(args=[[]], priority=9)
    eventually(lambda: watched.metrics()["settle_queue_messages"] == 3, watched.metrics)
    assert 3_600 <= watched.metrics()["settle_queue_oldest_age_seconds"] < 7_200
    assert watched.get("/readyz") == (503, "it does not consume: it was told so\n")
    assert worker.stop() == 0


def test_a_worker_tells_whoever_inspects_it(service: Service) -> None:
    """In `celery inspect stats`, without a port."""
    service.load("ev_1")
    service.start_worker()
    sent = service.send(kwargs={"id": "ev_1", "status": "completed"})
    service.wait({sent.id: ["ev_1"]})
    service.wait_until_empty()
    inspect = service.operator.control.inspect(timeout=10, limit=1)
    (stats,) = inspect.stats().values()
    ours = stats["settle"]
    assert ours["batch_max_updates"] == 1_000
    assert ours["slots"] == 3
    assert ours["updates"]["updated"] == 1
    assert ours["messages_fetched"] == {"plain": 1, "other": 0}
    assert ours["batches"] == {"size": 0, "slot": 1, "age": 0, "stop": 0}
    assert ours["batch_updates"] == {"count": 1, "sum": 1}
    assert ours["batches_retried"] == ours["dead_letters"] == 0


def test_a_worker_that_nobody_could_see_does_not_start(service: Service, watched: Watched) -> None:
    """One line that says which port is taken."""
    service.start_worker(**watched.settings)
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "worker", "--hostname", "w9@%h"],
        env={**os.environ, **service.environment, **watched.settings, "C_FORCE_ROOT": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert ended.returncode == 1
    assert f"SETTLE_METRICS_PORT: cannot listen on port {watched.port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_pages_that_there_are(service: Service, watched: Watched) -> None:
    """And what is said of another."""
    service.start_worker(**watched.settings)
    eventually(lambda: watched.get("/readyz").status == 200, lambda: watched.get("/readyz"))
    assert watched.get("/readyz").text == "it consumes, and its servers answer\n"
    assert watched.get("/livez").status == 200
    assert watched.get("/") == (404, "/metrics, /livez, /readyz\n")


def test_the_file_is_there_as_long_as_the_worker(service: Service, tmp_path: Path) -> None:
    """A probe says why; a worker that has ended leaves nothing behind."""
    file = tmp_path / "health.json"
    assert probe("live", file).returncode == 1
    worker = service.start_worker(SETTLE_HEALTH_FILE=str(file))
    eventually(lambda: probe("ready", file).returncode == 0, lambda: probe("ready", file))
    assert probe("ready", file).stdout == "ready: it consumes, and its servers answer\n"
    assert probe("live", file).stdout.startswith("live: ")
    assert worker.stop() == 0
    assert list(tmp_path.glob("*health*")) == []
    ended = probe("live", file)
    assert ended.returncode == 1
    assert ended.stderr == f"not live: no worker has written {file}: No such file or directory\n"
