"""Redis, or Valkey, as a broker: one server, or whichever the sentinels say is the primary."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from redis.client import NEVER_DECODE

from service import redis_checks
from service.reaching import TIMEOUT_SECONDS, reach_redis
from service.sentinels import sentinel_options
from settle_client.names import CLUSTER_PREFIX, QUEUE
from worker.transport.delivery import sent_at
from worker.transport.redis import checks, transport
from worker.transport.redis.deliveries import AtOnce
from worker.transport.redis.items import headers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from service.finding import Finding
    from service.reaching import RedisServer
    from service.settings import Settings
    from worker.transport.broker import Deliveries, Receiver

LISTS = (f"{QUEUE}.retry", *(QUEUE + priority for priority in checks.PRIORITIES))
# kombu's Redis transport puts back what it takes for dead workers' after this time, whoever
# connects, also to ask something. What others hold there is not ours to put back.
NEVER_SECONDS = 10 * 365 * 24 * 3600


class Redis:
    """One server."""

    name = "redis"
    has_leases = True
    queue_arguments: Mapping[str, Any] | None = None
    onlooker_options: Mapping[str, Any] = {
        "visibility_timeout": NEVER_SECONDS,
        # Somebody waits for the answer.
        "socket_timeout": TIMEOUT_SECONDS,
    }
    checks: Sequence[Callable[[Any], Finding]] = (*redis_checks.CHECKS, *checks.CHECKS)

    def transport_options(self, settings: Settings) -> dict[str, Any]:
        """Return the lease, and what distinguishes a dead link from a silent one."""
        return {
            # Of our transport alone: who asks workers something by kombu's own takes these too.
            "lease_seconds": settings.lease_seconds,
            **self.onlooker_options,
            # Without these a link that died silently hangs the worker.
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 5,
            "master_name": settings.sentinel_master,
            "sentinel_kwargs": sentinel_options(settings),
        }

    def install(self) -> None:
        """Fetch in batches: use our transport in place of kombu's."""
        transport.install()

    def reach(self, settings: Settings) -> AbstractContextManager[RedisServer]:
        """Connect, to look at it, and see that it answers."""
        return reach_redis(settings.named_broker_url, **_wanted(settings))

    def waiting(self, server: RedisServer) -> tuple[float, float]:
        """Return how many messages wait, and for how many seconds the oldest does."""
        with server.client.pipeline(transaction=False) as pipe:
            for name in LISTS:
                pipe.llen(server.key(name))
            lengths = pipe.execute()
        # The ends from which messages are fetched.
        items = [
            server.client.execute_command("LINDEX", server.key(name), -1, **{NEVER_DECODE: True})
            for name, length in zip(LISTS, lengths, strict=True)
            if length
        ]
        return sum(lengths), _age_seconds([item for item in items if item is not None])

    def delayed(self, server: RedisServer) -> float:
        """Return how many messages wait for their time."""
        return float(server.client.zcard(server.key(checks.DELAYED)))

    def reaches(self, producer: Any, publication: dict[str, Any]) -> bool:
        """Publish something, of which Redis says how many clients have heard it."""
        producer.publish(**publication)
        return bool(producer.channel.heard_by)

    def deliveries(self, consumer: Any, receiver: Receiver) -> Deliveries:
        """Begin with a new connection."""
        return AtOnce(consumer.connection.default_channel, receiver)


class Socket(Redis):
    """One server on this machine, by its socket, as kombu writes that."""

    def reach(self, settings: Settings) -> AbstractContextManager[RedisServer]:
        """Connect, to look at it, and see that it answers."""
        # The same in redis-py's words.
        url = settings.broker_url.replace("redis+socket:", "unix:", 1)
        return reach_redis(url.replace("virtual_host=", "db="))


class Cluster(Redis):
    """The node of a cluster that holds the slot of the queue."""

    onlooker_options: Mapping[str, Any] = {
        **Redis.onlooker_options,
        "global_keyprefix": CLUSTER_PREFIX,
    }

    def reaches(self, producer: Any, publication: dict[str, Any]) -> bool:
        """Publish something, and suppose that somebody was there: a node counts its own clients."""
        producer.publish(**publication)
        return True

    @contextmanager
    def reach(self, settings: Settings) -> Iterator[RedisServer]:
        """Connect, to look at it, and see that it answers."""
        key = CLUSTER_PREFIX + QUEUE
        with reach_redis(settings.broker_url, key=key, **_wanted(settings)) as server:
            server.prefix = CLUSTER_PREFIX
            yield server


def _wanted(settings: Settings) -> dict[str, Any]:
    """Return what is to have room there, and how many replicas are to be there."""
    length = settings.outcome_stream_max_length if settings.channel_is_on_broker else 0
    return {"stream_max_length": length, "min_replicas": settings.replicas_of_messages}


def _age_seconds(items: list[bytes]) -> float:
    if not items:
        return 0.0
    times = [at for item in items if (at := sent_at(headers_of(item))) is not None]
    return max(0.0, time.time() - min(times)) if times else math.nan
