"""Redis Cluster: a client of redis-py for the keys of one slot, wherever that is now.

As behind sentinels, each connection asks where to go when it is made: here any node of the
cluster, and for whoever holds the slot. So all that a client of one server can, blocking
reads, transactions, scripts and Pub/Sub, is the same here; and nothing but the keys of its
slot can be asked for by it. That is what Settle needs: its keys on a cluster are those of a
queue, of the outcomes, or of the dead letters.

A node that does not hold the slot any more, or cannot serve it for a moment (MOVED, TRYAGAIN,
CLUSTERDOWN), says so, and has done nothing: the connection is made anew, and asks again, for a
second. After that it is an error of a connection: who has patience with a server that is away
has it with this. A key that is on its way to another node is followed there (ASK).
Imported where a URL asks for it.
"""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection, parse_url
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - as redis-py has it
    NoPermissionError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.retry import Retry

from settle_client.cluster_nodes import Address, Nodes, script_name
from settle_client.errors import AddressError
from settle_client.redis_server import in_words_of_redis

SCHEME = "+cluster://"
PORT = 6_379
SLOTS = ("CLUSTER", "SLOTS")
# As redis-py names the command.
LOAD = "SCRIPT LOAD"
NOT_NOW = (AskError, TryAgainError, ClusterDownError)
# A node is not asked again for a reason that is the same with each.
REFUSED = (AuthenticationError, AuthorizationError, NoPermissionError)

# Of what is elsewhere, or on its way in parts.
TRIES, PAUSE_SECONDS = 20, 0.05


class ElsewhereError(ConnectionError):
    """The node did nothing: what it was asked about is elsewhere, or cannot be had now."""


def options_of(
    url: str, key: str, parse: Any = parse_url, make_retry: Any = Retry
) -> dict[str, Any]:
    """Return what connections to the holder of a key are made of.

    Args:
        url: `redis+cluster://` or `rediss+cluster://`, several with `;` between them: where
            to ask first. The first says who we are.
        key: One that the slot is known by.
        parse: Of redis-py, for either face.
        make_retry: The same.

    Raises:
        AddressError: It names a database.
        ValueError: It cannot be understood.
    """
    urls = in_words_of_redis(url).split(";")
    parts = [parse(part.replace(SCHEME, "://", 1)) for part in urls if part]
    if any(part.get("db") for part in parts):
        raise AddressError("a Redis Cluster has no database but 0")
    seeds = [(part.get("host", "127.0.0.1"), part.get("port", PORT)) for part in parts]
    rest = {k: v for k, v in parts[0].items() if k not in ("host", "port", "db")}
    retry = make_retry(ConstantBackoff(PAUSE_SECONDS), TRIES, (ElsewhereError,))
    return {**rest, "nodes": Nodes(seeds), "slot": key_slot(key.encode()), "retry": retry}


def open_holder(url: str, key: str, options: dict[str, Any]) -> Redis:
    """Make a client of whichever node holds a key.

    Raises:
        AddressError, ValueError: See `options_of`.
    """
    options = {**options, **options_of(url, key)}
    is_secure = options.pop("connection_class", Connection) is SSLConnection
    connection_class = HolderSSLConnection if is_secure else HolderConnection
    return Redis.from_pool(ConnectionPool(connection_class=connection_class, **options))


class HeldConnection:
    """What the connections of both faces have in common; mixed into redis-py's."""

    host: str
    port: int
    # A connection to one node, whichever it is.
    plain: Any

    def __init__(self, *, nodes: Nodes, slot: int, **options: Any) -> None:
        super().__init__(**options)
        self._nodes, self._slot = nodes, slot
        self._plain_options = {k: v for k, v in options.items() if k not in ("host", "port", "db")}
        # What was asked for last, if it was one command by itself.
        self._asked: tuple[Any, ...] = ()

    def _connection_to(self, node: Address) -> Any:
        host, port = node
        return self.plain(host=host, port=port, **self._plain_options)

    def _note(self, command: tuple[Any, ...]) -> None:
        """Note what is asked for, by itself."""
        self._asked = command
        if command[0] == LOAD:
            self._nodes.scripts[script_name(command[1])] = command[1]

    @property
    def _steps_there(self) -> list[tuple[Any, ...]]:
        """Return how to ask the same where the slot is on its way to, whatever is known there."""
        name, script, *_ = *self._asked, ""
        text = self._nodes.scripts.get(script) if name == "EVALSHA" else None
        return [*([(LOAD, text)] if text else []), ("ASKING",), self._asked]

    def _is_elsewhere(self, error: ResponseError) -> bool:
        """Return whether a connection is of no use any more; of other slots it never was."""
        if isinstance(error, AskError) and error.slot_id != self._slot:
            return False
        if isinstance(error, ClusterDownError):
            self._nodes.put_last((self.host, self.port))
        return isinstance(error, NOT_NOW)

    def _refusal(self, error: RedisError) -> Exception:
        """Return what to raise if a node cannot be asked where the slot is."""
        if isinstance(error, NoPermissionError):
            return NoPermissionError(f"this user may not ask CLUSTER SLOTS: {error}")
        if isinstance(error, ResponseError) and "cluster support disabled" in str(error):
            return ConnectionError("this server is no Redis Cluster: name it redis://")
        return error


class HolderConnection(HeldConnection, Connection):
    """A connection to whoever holds a slot."""

    plain: Any = Connection

    def _connect(self) -> Any:
        self.host, self.port = self._find_holder()
        try:
            return super()._connect()
        except OSError:
            self._nodes.put_last((self.host, self.port))
            raise

    def _find_holder(self) -> Address:
        trouble: Exception = ConnectionError("no node of the cluster knows who holds the slot")
        for node in self._nodes.in_turn():
            try:
                holder = self._nodes.learn(self._ask_one(node, SLOTS), self._slot, node)
            except (OSError, RedisError) as error:
                trouble = self._refusal(error) if isinstance(error, RedisError) else error
                if isinstance(trouble, REFUSED):
                    break
                self._nodes.put_last(node)
            else:
                if holder:
                    return holder
        raise trouble

    def _ask_one(self, node: Address, *commands: tuple[Any, ...]) -> Any:
        """Return what a node answers to the last of some commands."""
        reply = None
        connection = self._connection_to(node)
        try:
            for command in commands:
                connection.send_command(*command)
                reply = connection.read_response()
        finally:
            connection.disconnect()
        return reply

    def send_command(self, *args: Any, **options: Any) -> None:
        """Send one command."""
        super().send_command(*args, **options)
        self._note(args)

    def send_packed_command(self, *args: Any, **options: Any) -> None:
        """Send one command or several."""
        super().send_packed_command(*args, **options)
        # Not before: a new connection has said who it is, by commands that are none of these.
        self._asked = ()

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Read a response, if need be from where the slot is on its way to."""
        try:
            return super().read_response(*args, **options)
        except ResponseError as error:
            if not self._is_elsewhere(error):
                raise
            if self._asked and type(error) is AskError:
                node = error.host or self.host, error.port
                return self._ask_one(node, *self._steps_there)
            self.disconnect()
            raise ElsewhereError(f"not here now: {error}") from error


class HolderSSLConnection(HolderConnection, SSLConnection):
    """The same over TLS."""

    plain: Any = SSLConnection
