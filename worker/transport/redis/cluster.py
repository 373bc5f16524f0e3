"""A Redis Cluster as a broker: all keys of the queue in one slot, and a channel to who holds it.

kombu knows no cluster. But where the keys of a queue, and with them kombu's own, begin with
the same hash tag, a node has all of them, and what kombu and our scripts do is done there
as on a server by itself. Which node that is, is `settle_client.redis_cluster`'s to find.

While the slot is being moved, what takes several keys at once has to wait, and nothing is
fetched: that is no loss of the connection, which would give back everything that is held.
"""

from __future__ import annotations

import time
from queue import Empty
from typing import TYPE_CHECKING, Any

import redis

from settle_client.names import CLUSTER_PREFIX, QUEUE
from settle_client.redis_cluster import (
    ElsewhereError,
    HolderConnection,
    HolderSSLConnection,
    options_of,
)
from worker.transport.redis.channel import Channel
from worker.transport.redis.fetch import BRIEFLY_SECONDS
from worker.transport.redis.leases import QoS

if TYPE_CHECKING:
    from collections.abc import Sequence


class AtHolder:
    """The part of a channel that connects to whichever node holds the slot; mixed into kombu's."""

    global_keyprefix = CLUSTER_PREFIX
    connection: Any
    connection_class: Any
    connection_class_ssl: Any
    keyprefix_fanout: str

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        options = options_of(self._urls, self.global_keyprefix + QUEUE)
        is_secure = "connection_class" in options
        self.connection_class = HolderSSLConnection if is_secure else HolderConnection
        self.connection_class_ssl = self.connection_class
        params: dict[str, Any] = super()._connparams(  # type: ignore[misc]
            asynchronous=asynchronous
        )
        options["connection_class"] = params["connection_class"]
        # Without an option of its own kombu would not look at certificates.
        ours = {name: value for name, value in params.items() if not name.startswith("ssl_")}
        return {**ours, **options}

    def _get_pool(self, asynchronous: bool = False) -> Any:
        params = self._connparams(asynchronous=asynchronous)
        self.keyprefix_fanout = self.keyprefix_fanout.format(db=0)
        return redis.ConnectionPool(**params)

    @property
    def _urls(self) -> str:
        client = self.connection.client
        return ";".join(client.alt) or f"{client.uri_prefix}+{client.hostname}"


class ClusterQoS(QoS):
    """What a channel to a cluster holds."""

    def remove(self, tags: Sequence[str]) -> None:
        """Remove acknowledged messages, one key after the other: each may be on its way."""
        self.channel.direct.hdel(self.channel.key(self.unacked_key), *tags)
        self.channel.direct.zrem(self.channel.key(self.unacked_index_key), *tags)


class ClusterChannel(AtHolder, Channel):
    """A channel to whichever node holds the slot of the queue."""

    QoS = ClusterQoS

    def _brpop_read(self, **options: Any) -> bool:
        try:
            return super()._brpop_read(**options)
        except ElsewhereError:
            time.sleep(BRIEFLY_SECONDS)
            raise Empty from None
