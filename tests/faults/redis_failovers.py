"""Redis fails over: the primary that has the queue and the outcomes is killed, or cut off.

Each returns in how many seconds outcomes came again, from when it struck. What a replica did
not have by then is gone, unless everybody waits for replicas.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from cli.embedded import temporary_folder
from settle_client.envelope import bulk, single
from settle_client.errors import SettleError
from settle_client.names import QUEUE
from settle_client.redis_queue import RedisQueue
from settle_client.redis_server import open_client
from settle_client.update import StatusUpdate
from tests.faults.strikes import CHANCE
from tests.hosts import hosts
from tests.redis_group import NAME, RedisGroup
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.rig import Rig
    from tests.faults.stages import Stage, Strike
    from tests.redis_group import Replica

    Breaking = Callable[[Rig, RedisGroup], float]

# What a sender has begun to send to the Redis that there was before.
ON_ITS_WAY_SECONDS = 0.5


def behind_sentinels(
    breaking: Breaking, *, min_replicas: int = 0, namespaces: bool = False
) -> Stage:
    """Let three sentinels say where the queue and the outcomes are.

    Args:
        breaking: What happens, again and again.
        min_replicas: How many everybody waits for: workers, who sends, and the servers.
        namespaces: Each server is on a host of its own, with a sentinel.
    """

    @contextmanager
    def stage(rig: Rig) -> Iterator[Strike]:
        service = rig.service
        before = service.redis, service.channel, service.producer
        with ExitStack() as stack:
            folder = stack.enter_context(temporary_folder())
            found = stack.enter_context(hosts(3)) if namespaces else []
            group = stack.enter_context(RedisGroup(folder, found))
            service.redis = service.channel = client_of(group)
            service.producer = Celery(
                broker=group.url, backend=rig.broker.url, set_as_current=False
            )
            service.producer.conf.broker_transport_options = {"master_name": NAME}
            rig.settings |= {
                "CELERY_BROKER_URL": group.url,
                "SETTLE_OUTCOME_URL": group.url,
                "SETTLE_SENTINEL_MASTER": NAME,
                "SETTLE_OUTCOME_MIN_REPLICAS": str(min_replicas),
            }
            if min_replicas:
                service.send = Sender(group, min_replicas)  # type: ignore[method-assign]
                for server in group.servers:
                    server.client().config_set("min-replicas-to-write", min_replicas)
            move_queue(before[0], service.redis)

            def strike(rig: Rig) -> float:
                seconds = breaking(rig, group)
                eventually(group.is_whole)
                return seconds

            try:
                yield strike
            finally:
                for worker in rig.workers:
                    worker.kill()
                rig.load.stopping.set()
                service.redis, service.channel, service.producer = before

    return stage


def client_of(group: RedisGroup) -> Any:
    """Connect to whichever server is the primary."""
    return open_client(group.url, asynchronous=False, master_name=NAME, decode_responses=True)


def move_queue(old: Any, new: Any) -> None:
    """Let what was sent already be sent to where it is looked for from now on."""
    time.sleep(ON_ITS_WAY_SECONDS)
    while items := old.lpop(QUEUE, 1_000):
        new.lpush(QUEUE, *reversed(items))


class Sender:
    """Sends as `Service.send` does, and takes as sent what replicas have."""

    def __init__(self, group: RedisGroup, min_replicas: int) -> None:
        self._queue = RedisQueue(group.url, master_name=NAME, min_replicas=min_replicas)

    def __call__(
        self, args: Any = None, kwargs: Any = None, *, task_id: str = "", **_: Any
    ) -> None:
        """Send one message.

        Raises:
            OperationalError: As kombu has it: it may be there, or not.
        """
        updates = [StatusUpdate(**fields) for fields in (args[0] if args else [kwargs])]
        envelope = bulk(updates) if args else single(updates[0])
        try:
            self._queue.push([envelope._replace(message_id=task_id)])
        except (RedisError, SettleError) as error:
            raise OperationalError(str(error)) from error


def kill_the_primary(rig: Rig, group: RedisGroup) -> float:
    """Kill the primary with SIGKILL, and let it come back as a replica."""
    struck, old = time.time(), group.primary
    old.stop(immediate=True)
    eventually(lambda: _has_moved(group, old))
    rig.recover(time.time())
    seconds = time.time() - struck
    group.start_again(old)
    return seconds


def part_the_primary(rig: Rig, group: RedisGroup) -> float:
    """Let the primary reach no replica and no other sentinel, but those who work with it.

    Its own sentinel tells them still that it is the primary, until it hears of the others.
    """
    struck, old = time.time(), group.primary
    assert old.host
    old.host.part()
    eventually(lambda: _has_moved(group, old))
    time.sleep(CHANCE.uniform(0.5, 2))
    old.host.join()
    eventually(lambda: _follows(old))
    rig.recover(time.time())
    return time.time() - struck


def _has_moved(group: RedisGroup, old: Replica) -> bool:
    with suppress(RedisError):
        return group.primary is not old
    return False


def _follows(server: Replica) -> bool:
    with suppress(RedisError), server.client() as client:
        return bool(client.info("replication")["role"] == "slave")
    return False
