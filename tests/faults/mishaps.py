"""What each alert on workers is there for: a real fault of each, made and mended.

Each is a generator with two places to stop at. It begins a service that is well and
stops; it breaks something and stops, until the alert has fired; then it mends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg

from settle_client.names import OUTCOMES, QUEUE
from tests.faults.gateway_mishaps import GATEWAY_MISHAPS
from tests.faults.network import Link
from tests.faults.watched_rig import LOCKED, Mishap, WatchedRig
from tests.faults.webhook_mishaps import WEBHOOK_MISHAPS
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


PATIENT = {"SETTLE_LOCK_TIMEOUT_SECONDS": "600", "SETTLE_STATEMENT_TIMEOUT_SECONDS": "600"}
HOUR_SECONDS = 3_600
BACKLOG = 10_001


def no_worker_ready(it: WatchedRig) -> Iterator[None]:
    """The only worker is gone."""
    worker = it.start_worker()
    yield
    worker.kill()
    yield
    it.start_worker()


def worker_stuck(it: WatchedRig) -> Iterator[None]:
    """A batch hangs in its slot, although every server answers."""
    file = it.rig.service.folder / "hangs"
    settings = {"HANGS_WHILE": str(file), "SETTLE_STATEMENT_TIMEOUT_SECONDS": "0.5"}
    it.start_worker(module="tests.faults.hanging", **settings)
    yield
    file.touch()
    it.send(1)
    yield
    file.unlink()


def server_down(it: WatchedRig) -> Iterator[None]:
    """PostgreSQL is away."""
    it.start_worker()
    yield
    it.rig.postgres.stop()
    yield
    it.rig.postgres.start()


def server_down_for_one(it: WatchedRig) -> Iterator[None]:
    """The network between one worker and PostgreSQL is broken; another's is not."""
    url = it.rig.service.database_url
    it.start_worker()
    with Link(urlsplit(url).port or 5432) as link:
        it.start_worker(DATABASE_URL=link.through(url))
        yield
        link.silent = True
        link.cut()
        yield
        link.silent = False
        link.cut()
        it.wait_for(lambda: not it.prometheus.query("settle_server_up == 0"))


def outcomes_not_published(it: WatchedRig) -> Iterator[None]:
    """Somebody holds the rows that batches want, and more messages wait than a worker takes."""
    it.rig.options = ("--concurrency=1",)
    it.start_worker(SETTLE_BATCH_MAX_UPDATES="10", **PATIENT)
    it.rig.service.load(LOCKED)
    yield
    with it.held_rows():
        it.send(1_000)
        yield


def backlog_grows(it: WatchedRig) -> Iterator[None]:
    """More is sent than is settled, for nothing is."""
    it.start_worker(**PATIENT)
    it.rig.service.load(LOCKED)
    yield
    with it.held_rows():
        it.send(2 * BACKLOG)
        it.meanwhile = lambda: it.send(100)
        yield


def queue_is_old(it: WatchedRig) -> Iterator[None]:
    """What waits has waited for an hour."""
    it.rig.options = ("--concurrency=1",)
    it.start_worker(SETTLE_BATCH_MAX_UPDATES="10", **PATIENT)
    it.rig.service.load(LOCKED)
    yield
    with it.held_rows():
        it.send_as_if_old(1_000, HOUR_SECONDS)
        yield


def slow(it: WatchedRig) -> Iterator[None]:
    """What is settled has waited for an hour."""
    it.start_worker()
    yield
    it.meanwhile = lambda: it.send_as_if_old(1, HOUR_SECONDS)
    yield


def breaker_tripped(it: WatchedRig) -> Iterator[None]:
    """A sender goes wrong, and is mended."""
    it.start_worker()
    yield
    it.send(200, "done")
    yield
    it.rig.service.operator.control.add_consumer(QUEUE, reply=True, timeout=10, limit=1)


def outcomes_gone(it: WatchedRig) -> Iterator[None]:
    """A consumer group does not read, and the stream is full."""
    it.start_worker(SETTLE_OUTCOME_STREAM_MAX_LENGTH="100")
    channel = it.rig.service.channel
    channel.xgroup_create(OUTCOMES, "billing", "0", mkstream=True)
    yield
    it.send(1_000)
    yield
    channel.xgroup_destroy(OUTCOMES, "billing")


def dead_letters(it: WatchedRig) -> Iterator[None]:
    """An update is not valid."""
    it.start_worker()
    yield
    it.send(1, "done")
    yield


def batches_go_back(it: WatchedRig) -> Iterator[None]:
    """The table is missing."""
    it.start_worker(SETTLE_RETRY_MAX_WAIT_SECONDS="0.2")
    yield
    with psycopg.connect(it.rig.postgres.url, autocommit=True) as owner:
        owner.execute("ALTER TABLE events RENAME TO hidden")
        it.send(1)
        try:
            yield
        finally:
            owner.execute("ALTER TABLE hidden RENAME TO events")


def workers_die(it: WatchedRig) -> Iterator[None]:
    """One is killed with messages in hand, which another takes over."""
    settings = {"SETTLE_LEASE_SECONDS": "1", **PATIENT}
    it.rig.service.load(LOCKED)
    dies = it.start_worker(**settings)
    with it.held_rows():
        it.send(1)
        eventually(lambda: not it.rig.service.redis.llen(QUEUE))
        it.start_worker(**settings)
        yield
        dies.kill()
        yield


def dead_letters_at_the_start(it: WatchedRig) -> Iterator[None]:
    """An update is not valid that has waited for the first worker there is."""
    it.send(1, "done")
    yield
    it.start_worker(lambda metrics: metrics["settle_dead_letters_total"] > 0)
    yield


def workers_died_before(it: WatchedRig) -> Iterator[None]:
    """The only one is killed, and another is started when it has been dead for long."""
    settings = {"SETTLE_LEASE_SECONDS": "1", **PATIENT}
    it.rig.service.load(LOCKED)
    with it.held_rows():
        dies = it.start_worker(**settings)
        it.send(1)
        eventually(lambda: not it.rig.service.redis.llen(QUEUE))
        yield
        dies.kill()
        it.forget_workers()
        it.start_worker(lambda metrics: metrics["settle_messages_restored_total"] > 0, **settings)
        yield


MISHAPS: dict[str, Mishap] = {
    "SettleNoWorkerReady": no_worker_ready,
    "SettleWorkerStuck": worker_stuck,
    "SettleServerDown": server_down,
    "SettleServerDownForOne": server_down_for_one,
    "SettleOutcomesNotPublished": outcomes_not_published,
    "SettleBacklogGrows": backlog_grows,
    "SettleQueueIsOld": queue_is_old,
    "SettleSlow": slow,
    "SettleBreakerTripped": breaker_tripped,
    "SettleOutcomesGone": outcomes_gone,
    "SettleDeadLetters": dead_letters,
    "SettleBatchesGoBack": batches_go_back,
    "SettleWorkersDie": workers_die,
    **GATEWAY_MISHAPS,
    **WEBHOOK_MISHAPS,
}
# What has happened before its worker is scraped for the first time.
EARLY_MISHAPS = {
    "SettleDeadLetters": dead_letters_at_the_start,
    "SettleWorkersDie": workers_died_before,
}
