"""A connection to a server, to look at it as the service's user does."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.addresses import is_cluster
from settle_client.names import DEAD_LETTERS, OUTCOMES
from settle_client.redis_server import open_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TIMEOUT_SECONDS = 3


class RedisServer:
    """A connection to a server, and what the server says about itself."""

    def __init__(self, client: redis.Redis, clock: Callable[[], float] = time.time) -> None:
        self.client: Any = client
        # For the dead letters: of a cluster, another.
        self.letters: Any = client
        self.clock = clock
        # What the keys of the queue begin with.
        self.prefix = ""
        self.is_cluster = False
        # Entries that the outcome stream is to hold here, and who is to read each of them.
        self.stream_max_length = 0
        self.groups_kept_for: tuple[str, ...] = ()
        # How many replicas are to have what is written before it counts.
        self.min_replicas = 0

    def key(self, name: str) -> str:
        """Return the key of something of the queue."""
        return self.prefix + name

    @cached_property
    def info(self) -> dict[str, Any]:
        """Return what INFO says."""
        info: dict[str, Any] = self.client.info()
        return info

    def denied(self, commands: Sequence[Sequence[object]]) -> list[str]:
        """Return those of some commands that this user may not give.

        They are queued in a transaction that is then dropped: Redis checks a user's
        rights when a command is queued, so that nothing is done.
        """
        connection = self.client.connection_pool.get_connection()
        try:
            connection.send_command("MULTI")
            connection.read_response()
            return [
                " ".join(map(str, command[:2]))
                for command in commands
                if _is_denied(connection, command)
            ]
        finally:
            # Whatever was queued is gone with the connection.
            connection.disconnect()


def _is_denied(connection: Any, command: Sequence[object]) -> bool:
    connection.send_command(*command)
    try:
        connection.read_response(disconnect_on_error=False)
    except redis.exceptions.NoPermissionError:
        return True
    except redis.ResponseError as error:
        # Out of memory and the like are for other checks to find.
        return "unknown command" in str(error)
    return False


@contextmanager
def reach_redis(
    url: str,
    *,
    stream_max_length: int = 0,
    groups_kept_for: tuple[str, ...] = (),
    min_replicas: int = 0,
    key: str = OUTCOMES,
) -> Iterator[RedisServer]:
    """Connect to a server, of a cluster to the one that holds a key, and see that it answers."""
    with ExitStack() as stack:
        client = stack.enter_context(_open(url, key))
        client.ping()
        server = RedisServer(client)
        server.stream_max_length = stream_max_length
        server.groups_kept_for = groups_kept_for
        server.min_replicas = min_replicas
        if is_cluster(url):
            server.is_cluster = True
            server.letters = stack.enter_context(_open(url, DEAD_LETTERS))
        yield server


def _open(url: str, key: str) -> Any:
    return open_client(
        url,
        asynchronous=False,
        key=key,
        decode_responses=True,
        # Anybody may have written what is looked at.
        encoding_errors="backslashreplace",
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
