"""kombu's own transport on a Redis Cluster: for Flower, `celery inspect`, and who only sends.

They fetch no updates, so they get nothing of ours but the way to whoever holds the slot, and
need no more rights than on a server by itself. Installed for no other kind of address.
"""

from __future__ import annotations

from kombu.transport import redis as stock

from worker.transport.redis.cluster import AtHolder
from worker.transport.redis.transport import use


class OnlookerChannel(AtHolder, stock.Channel):
    """A channel of kombu's own."""


class OnlookerTransport(stock.Transport):
    """A transport of kombu's own."""

    Channel = OnlookerChannel


SCHEMES = ("redis", "rediss", "redis+cluster", "rediss+cluster")


def install() -> None:
    """Use it in this process, which has a cluster for a broker; once before connecting."""
    use(dict.fromkeys(SCHEMES, f"{__name__}:{OnlookerTransport.__name__}"))
