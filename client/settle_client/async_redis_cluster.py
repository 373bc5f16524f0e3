"""Redis Cluster for asyncio: see `settle_client.redis_cluster`, which decides; here is the I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.exceptions import (
    AskError,
    ConnectionError,  # noqa: A004 - as redis-py has it
    RedisError,
    ResponseError,
)

from settle_client.redis_cluster import REFUSED, SLOTS, ElsewhereError, HeldConnection, options_of

if TYPE_CHECKING:
    from settle_client.cluster_nodes import Address


def open_holder(url: str, key: str, options: dict[str, Any]) -> Redis:
    """Make a client of whichever node holds a key.

    Raises:
        AddressError, ValueError: See `settle_client.redis_cluster.options_of`.
    """
    options = {**options, **options_of(url, key, parse_url, Retry)}
    is_secure = options.pop("connection_class", Connection) is SSLConnection
    connection_class = HolderSSLConnection if is_secure else HolderConnection
    return Redis.from_pool(ConnectionPool(connection_class=connection_class, **options))


class HolderConnection(HeldConnection, Connection):
    """A connection to whoever holds a slot."""

    plain: Any = Connection

    async def _connect(self) -> None:
        self.host, self.port = await self._find_holder()
        try:
            await super()._connect()
        except OSError:
            self._nodes.put_last((self.host, self.port))
            raise

    async def _find_holder(self) -> Address:
        trouble: Exception = ConnectionError("no node of the cluster knows who holds the slot")
        for node in self._nodes.in_turn():
            try:
                slots = await self._ask_one(node, SLOTS)
                holder = self._nodes.learn(slots, self._slot, node)
            except (OSError, RedisError) as error:
                trouble = self._refusal(error) if isinstance(error, RedisError) else error
                if isinstance(trouble, REFUSED):
                    break
                self._nodes.put_last(node)
            else:
                if holder:
                    return holder
        raise trouble

    async def _ask_one(self, node: Address, *commands: tuple[Any, ...]) -> Any:
        """Return what a node answers to the last of some commands."""
        reply = None
        connection = self._connection_to(node)
        try:
            for command in commands:
                await connection.send_command(*command)
                reply = await connection.read_response()
        finally:
            await connection.disconnect()
        return reply

    async def send_command(self, *args: Any, **options: Any) -> None:
        """Send one command."""
        await super().send_command(*args, **options)
        self._note(args)

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        """Send one command or several."""
        await super().send_packed_command(*args, **options)
        # Not before: a new connection has said who it is, by commands that are none of these.
        self._asked = ()

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Read a response, if need be from where the slot is on its way to."""
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            if not self._is_elsewhere(error):
                raise
            if self._asked and type(error) is AskError:
                node = error.host or self.host, error.port
                return await self._ask_one(node, *self._steps_there)
            await self.disconnect()
            raise ElsewhereError(f"not here now: {error}") from error


class HolderSSLConnection(HolderConnection, SSLConnection):
    """The same over TLS."""

    plain: Any = SSLConnection
