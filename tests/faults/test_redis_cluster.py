"""A Redis Cluster as broker and result channel, under load: slots move, and primaries are killed.

What a primary acknowledged and its replica did not have yet goes with it: replication is
asynchronous. So of a primary that is killed what was sent, or published, in the last moments
may be lost; nothing is told wrong, and what is sent again under its id is answered.
"""

from __future__ import annotations

import logging
import time
from contextlib import closing, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

import psutil
import pytest
from redis.exceptions import RedisError

from settle_client.checking import check
from settle_client.envelope import bulk
from settle_client.names import CLUSTER_PREFIX, DEAD_LETTERS, OUTCOMES, QUEUE
from settle_client.redis_queue import RedisQueue
from tests.faults.load import Load
from tests.redis_cluster import Cluster, Node, redis_cluster
from tests.service import Service, eventually
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

EVENTS, MESSAGES_PER_SECOND = 10_000, 100
# How long what goes with a primary may have been there: replicas are behind by milliseconds.
UNREPLICATED_SECONDS = 1.0
BEHIND_SECONDS = 0.5


class ClusterLoad(Load):
    """A load by way of the client, for Celery's own producers know no cluster."""

    def __init__(self, service: Service) -> None:
        super().__init__(service, EVENTS, MESSAGES_PER_SECOND)
        self._queue = RedisQueue(service.redis_url)
        # When each message was confirmed, by the clock of this machine.
        self.confirmed: dict[str, float] = {}

    def _send(self, message_id: str, updates: dict[str, str]) -> bool:
        while not self.stopping.is_set():
            try:
                self.push(message_id, updates)
            except (RedisError, OSError):
                time.sleep(0.05)
            else:
                self.confirmed[message_id] = time.time()
                return True
        return False

    def push(self, message_id: str, updates: dict[str, str]) -> None:
        """Send a message."""
        fields = ({"id": id_, "status": status} for id_, status in updates.items())
        self._queue.push([bulk([check(one) for one in fields])._replace(message_id=message_id)])

    def lost(self) -> dict[str, float]:
        """Return the messages that have no outcome, and when they were confirmed."""
        answered = {message_id for message_id, _ in self.outcomes_by_update()}
        return {id_: self.confirmed[id_] for id_ in self.sent.keys() - answered}


@pytest.fixture
def shards() -> Iterator[Cluster]:
    """Give three primaries with a replica each; queue, outcomes and dead letters are apart."""
    with started(lambda folder: redis_cluster(folder, replicas=True)) as cluster:
        cluster.spread()
        yield cluster


@pytest.fixture
def service(shards: Cluster, database_url: str, tmp_path: Path) -> Iterator[Service]:
    """Give two workers on it."""
    with closing(Service(database_url, shards.url, tmp_path)) as service:
        for _ in range(2):
            service.start_worker(SETTLE_LEASE_SECONDS="3")
        yield service


@pytest.fixture
def load(service: Service) -> Iterator[ClusterLoad]:
    """Give a load on them."""
    load = ClusterLoad(service)
    load.start()
    yield load
    load.stop()


def drain(service: Service) -> None:
    """Wait until the queue is empty and nothing of it is held."""

    def is_empty() -> bool:
        with suppress(RedisError):
            names = (QUEUE, f"{QUEUE}.retry")
            waiting = sum(service.redis.llen(CLUSTER_PREFIX + name) for name in names)
            return not waiting + service.redis.hlen(f"{CLUSTER_PREFIX}{QUEUE}.unacked")
        return False

    eventually(is_empty)


def answers_since(service: Service, since: float) -> bool:
    """Return whether any outcome came after a point in time."""
    with suppress(RedisError):
        newest = service.channel.xrevrange(OUTCOMES, count=1)
        return bool(newest) and int(newest[0][0].partition("-")[0]) > since * 1_000
    return False


def test_nothing_is_lost_while_slots_move(
    shards: Cluster, service: Service, load: ClusterLoad
) -> None:
    """Of the queue, the outcomes and the dead letters; each on its way for a while, keys first.

    Longest for longer than a connection asks again.
    """
    eventually(lambda: len(load.sent) > MESSAGES_PER_SECOND)
    for seconds in (0.1, 0.5, 2.0):
        for key in (QUEUE, OUTCOMES, DEAD_LETTERS):
            source, target = shards.begin_migration(key)
            time.sleep(seconds)
            shards.move_keys(key, source, target)
            time.sleep(seconds)
            shards.end_migration(key, source, target)
            moved = time.time()
            eventually(lambda at=moved: answers_since(service, at))  # type: ignore[misc]
            logger.info("%s: outcomes %.2f s after its slot had moved", key, time.time() - moved)
    load.stop()
    drain(service)
    account = load.account()
    logger.info("%d messages, %d updates lost, %d wrong", *account[:3])
    assert (account.lost, account.wrong) == (0, 0), account.examples


@pytest.mark.parametrize(
    ("key", "behind_seconds"),
    [(QUEUE, 0.0), (OUTCOMES, 0.0), (OUTCOMES, BEHIND_SECONDS)],
    ids=["of the queue", "of the outcomes", "of the outcomes, with a replica that is behind"],
)
def test_of_a_primary_that_is_killed_the_replica_goes_on(
    shards: Cluster, service: Service, load: ClusterLoad, key: str, behind_seconds: float
) -> None:
    """Lost is at most what the replica did not have; sent again, it is answered, and true."""
    eventually(lambda: len(load.sent) > 3 * MESSAGES_PER_SECOND)
    primary = shards.owner(key)
    with frozen(shards.replica_of(primary), primary) if behind_seconds else nullcontext():
        time.sleep(behind_seconds)
        killed = time.time()
        primary.stop(immediate=True)
    eventually(lambda: is_promoted(shards, key, primary))
    promoted = time.time()
    eventually(lambda: answers_since(service, promoted))
    seconds = promoted - killed, time.time() - killed
    logger.info("%s: promoted after %.1f s, outcomes after %.1f s", key, *seconds)
    before = len(load.sent)
    eventually(lambda: len(load.sent) > before + MESSAGES_PER_SECOND)
    load.stop()
    drain(service)
    lost = load.lost()
    logger.info("%d of %d messages lost", len(lost), len(load.sent))
    earliest = killed - behind_seconds - UNREPLICATED_SECONDS
    assert all(earliest < at < killed + 1 for at in lost.values()), lost
    for message_id in lost:
        load.push(message_id, load.sent[message_id])
    eventually(lambda: not load.lost(), load.lost)
    account = load.account()
    assert (account.lost, account.wrong) == (0, 0), account.examples


@contextmanager
def frozen(replica: Node, primary: Node) -> Iterator[None]:
    """Let a replica stand still, so that it is behind."""
    process = psutil.Process(replica.pid)
    process.suspend()
    # What is under way to it would be read all the same.
    primary.ask("CLIENT", "KILL", "TYPE", "REPLICA")
    try:
        yield
    finally:
        process.resume()


def is_promoted(shards: Cluster, key: str, primary: Node) -> bool:
    """Return whether another node holds the slot of a key."""
    with suppress(LookupError, RedisError, OSError):
        return shards.owner(key) is not primary
    return False
