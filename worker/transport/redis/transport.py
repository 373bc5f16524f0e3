"""The classes that kombu finds, and how it finds them."""

from __future__ import annotations

import time
from typing import Any

import kombu.transport
from celery.utils.log import get_logger
from kombu.transport import redis as stock
from redis.exceptions import RedisError

from service.trouble import Trouble
from worker.transport.redis.channel import Channel
from worker.transport.redis.cluster import ClusterChannel

logger = get_logger(__name__)

CLUSTER = "cluster://"
# How often a loop looks whether leases are to be renewed, messages restored or due.
HOUSEKEEPING_SECONDS = 0.25


class Poller(stock.MultiChannelPoller):
    """kombu's poller, which also keeps the house of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self._trouble = Trouble()

    def housekeep(self) -> None:
        """Renew leases, restore messages and release delayed ones where it is time to."""
        for channel in list(self._channels):
            if channel.closed or channel._qos is None:  # noqa: SLF001 - `qos` would make one
                continue
            try:
                channel.qos.housekeep()
                channel.release_due()
            except (*channel.connection_errors, RedisError) as error:
                # The loop itself finds out about a connection that is lost.
                if self._trouble.note(type(error).__name__, time.monotonic()):
                    logger.warning("leases could not be renewed", extra={"error": str(error)})
            else:
                if self._trouble.over(time.monotonic()) is not None:
                    logger.log(self._trouble.level, "leases are renewed again")

    def get(self, callback: Any, timeout: float | None = None) -> Any:
        """Do one turn of `drain_events`, which turns until its own timeout."""
        self.housekeep()
        turn = HOUSEKEEPING_SECONDS if timeout is None else min(timeout, HOUSEKEEPING_SECONDS)
        return super().get(callback, timeout=turn)


class Transport(stock.Transport):
    """The transport of `redis://` and `rediss://`, with `+cluster` too."""

    Channel = Channel
    cycle: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cycle = Poller()
        # So kombu reads `redis+cluster://`: a transport, and a host that is a URL.
        client: Any = self.client
        if (client.hostname or "").startswith(CLUSTER):
            self.Channel = ClusterChannel

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Let the event loop fetch, and keep the house."""
        super().register_with_event_loop(connection, loop)
        loop.call_repeatedly(HOUSEKEEPING_SECONDS, self.cycle.housekeep)


class SentinelChannel(Channel, stock.SentinelChannel):
    """A channel to whatever server is the primary now."""

    from_transport_options: Any = tuple(
        dict.fromkeys(
            name
            for name in (
                *Channel.from_transport_options,
                *stock.SentinelChannel.from_transport_options,
            )
            if name != "ack_emulation"
        )
    )


class SentinelTransport(Transport, stock.SentinelTransport):
    """The transport of `sentinel://`."""

    Channel = SentinelChannel


class ClusterTransport(Transport):
    """The transport of `redis+cluster://` where kombu has switched to another of several URLs."""

    Channel = ClusterChannel


ALIASES = {
    "redis": "worker.transport.redis:Transport",
    "rediss": "worker.transport.redis:Transport",
    "sentinel": "worker.transport.redis:SentinelTransport",
    "redis+cluster": "worker.transport.redis:ClusterTransport",
    "rediss+cluster": "worker.transport.redis:ClusterTransport",
}


def install() -> None:
    """Use this transport in this process, for the URLs that mean kombu's; once before connecting.

    The scheme of a URL stays what it is: one of our own would be unknown to
    Flower, and kombu takes no path to a class there.
    """
    use(ALIASES)


def use(aliases: dict[str, str]) -> None:
    """Let schemes mean transports, each a path to a class."""
    kombu.transport.TRANSPORT_ALIASES.update(aliases)
    for alias in aliases:
        kombu.transport._transport_cache.pop(alias, None)  # noqa: SLF001 - it may be resolved already
