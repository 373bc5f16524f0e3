"""A Redis primary with two replicas, and the sentinels that let one of them take its place."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.embedded import Redis, dies_with_parent, free_port
from cli.embedded.binaries import redis_binary
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.hosts import Host

NAME = "settle"
LOOPBACK = "127.0.0.1"
# A busy machine stops for a moment now and then.
DOWN_AFTER_MILLISECONDS = 2_000
# Where it is short, a sentinel begins anew what another has not yet ended.
FAILOVER_TIMEOUT_MILLISECONDS = 10_000
ANSWER_SECONDS = 1.0
PATIENCE = ("socket_timeout", "socket_connect_timeout")


class Replica(Redis):
    """A server that follows another from the start."""

    def __init__(self, directory: Path, host: Host | None) -> None:
        """Prepare a server that follows nobody yet, on a host or here."""
        super().__init__(directory, append_only=True, append_fsync="always")
        self.host, self.follows = host, ""
        self.address = host.address if host else LOOPBACK

    @property
    def url(self) -> str:
        """Return where clients connect."""
        return super().url.replace(LOOPBACK, self.address)

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        prefix = self.host.prefix if self.host else ()
        following = ["--replicaof", self.follows] if self.follows else []
        # Nobody is to wait for a copy of next to nothing.
        hasty = ["--repl-diskless-sync-delay", "0", "--protected-mode", "no"]
        return [*prefix, *super().command(), "--bind", self.address, *hasty, *following]

    def answers(self) -> bool:
        """Return whether this very server answers, and not another on its port."""
        with self.client() as client:
            return bool(client.ping() and client.info("server")["process_id"] == self.pid)

    def client(self, **options: Any) -> Any:
        """Connect to it."""
        patience: dict[str, Any] = dict.fromkeys(PATIENCE, ANSWER_SECONDS)
        patience["retry"] = Retry(NoBackoff(), 0)
        return redis.Redis(self.address, self.port, **{**patience, **options})


class RedisGroup:
    """Three servers and three sentinels, a pair here or on each of three hosts."""

    def __init__(self, folder: Path, hosts: Sequence[Host] = ()) -> None:
        """Prepare them."""
        self._folder, self._stack = folder, ExitStack()
        self.servers = [
            Replica(folder / str(number), hosts[number] if hosts else None) for number in range(3)
        ]
        self._ports = [free_port() for _ in self.servers]

    @property
    def url(self) -> str:
        """Return where clients ask for the primary."""
        pairs = zip(self.servers, self._ports, strict=True)
        return ";".join(f"sentinel://{server.address}:{port}" for server, port in pairs)

    @property
    def primary(self) -> Replica:
        """Return the server that most sentinels say is the primary.

        Raises:
            redis.RedisError: They do not answer, or do not agree.
        """
        said = []
        for server, port in zip(self.servers, self._ports, strict=True):
            with suppress(redis.RedisError), self._sentinel_at(server, port) as sentinel:
                _, primary = sentinel.sentinel_get_master_addr_by_name(NAME)
                said.append(int(primary))
        for server in self.servers:
            if said.count(server.port) > 1:
                return server
        raise redis.ConnectionError("the sentinels do not agree")

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            first = self.servers[0]
            for server in self.servers:
                if server is not first:
                    server.follows = f"{first.address} {first.port}"
                stack.enter_context(server)
            for number in range(len(self.servers)):
                stack.enter_context(self._sentinel(number))
            eventually(self.is_whole)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_again(self, server: Replica) -> None:
        """Let a server that was primary follow the one that is."""
        primary = self.primary
        server.follows = f"{primary.address} {primary.port}"
        server.start()

    def is_whole(self) -> bool:
        """Return whether both replicas follow the primary, and all sentinels know of all."""
        with suppress(redis.RedisError):
            with self.primary.client() as primary:
                known = primary.info("replication")
            online = [known.get(f"slave{number}", {}).get("state") for number in range(2)]
            return online == ["online"] * 2 and all(map(self._knows_all, range(3)))
        return False

    def _knows_all(self, number: int) -> bool:
        with self._sentinel_at(self.servers[number], self._ports[number]) as sentinel:
            state = sentinel.sentinel_master(NAME)
        return (state["num-slaves"], state["num-other-sentinels"]) == (2, 2)

    def _sentinel_at(self, server: Replica, port: int) -> Any:
        options: dict[str, Any] = dict.fromkeys(PATIENCE, ANSWER_SECONDS)
        retry = Retry(NoBackoff(), 0)
        return redis.Redis(server.address, port, decode_responses=True, retry=retry, **options)

    @contextmanager
    def _sentinel(self, number: int) -> Iterator[None]:
        first, server, port = self.servers[0], self.servers[number], self._ports[number]
        configuration = self._folder / f"sentinel-{number}.conf"
        configuration.write_text(
            f"port {port}\nbind {server.address}\nprotected-mode no\ndir {self._folder}\n"
            f"sentinel monitor {NAME} {first.address} {first.port} 2\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MILLISECONDS}\n"
            f"sentinel failover-timeout {NAME} {FAILOVER_TIMEOUT_MILLISECONDS}\n"
            f"sentinel parallel-syncs {NAME} 2\n"
        )
        prefix = server.host.prefix if server.host else ()
        command = [*prefix, *dies_with_parent("KILL"), redis_binary(), str(configuration)]
        with subprocess.Popen([*command, "--sentinel"], stdout=subprocess.DEVNULL) as process:
            try:
                yield
            finally:
                process.kill()
