"""A Redis primary with replicas, and the sentinels that let one of them take its place."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Self

import redis

from cli.embedded import Redis, dies_with_parent, free_port
from cli.embedded.binaries import redis_binary
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "settle"
DOWN_AFTER_MILLISECONDS = 500
FAILOVER_TIMEOUT_MILLISECONDS = 2_000


class Replica(Redis):
    """A server that follows another from the start, if it is not told otherwise."""

    def __init__(self, directory: Path, primary_port: int | None) -> None:
        """Prepare a replica of the server at a port, or with None a primary."""
        super().__init__(directory, append_only=True, append_fsync="always")
        self._primary_port = primary_port

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        following = []
        if self._primary_port is not None:
            following = ["--replicaof", f"127.0.0.1 {self._primary_port}"]
        # Nobody is to wait for a copy of next to nothing.
        return [*super().command(), "--repl-diskless-sync-delay", "0", *following]


class RedisGroup:
    """Three servers and three sentinels."""

    def __init__(self, folder: Path) -> None:
        """Prepare them."""
        self._folder, self._stack = folder, ExitStack()
        self.servers: list[Replica] = []
        self._ports = [free_port() for _ in range(3)]

    @property
    def url(self) -> str:
        """Return where clients ask for the primary."""
        return ";".join(f"sentinel://127.0.0.1:{port}" for port in self._ports)

    @property
    def primary(self) -> Replica:
        """Return the server that the sentinels say is the primary."""
        with redis.Redis(port=self._ports[0], decode_responses=True) as sentinel:
            _, port = sentinel.sentinel_get_master_addr_by_name(NAME)
        return next(server for server in self.servers if server.port == int(port))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            first = Replica(self._folder / "0", None)
            self.servers = [first, *(Replica(self._folder / f"{n}", first.port) for n in (1, 2))]
            for server in self.servers:
                stack.enter_context(server)
            for number, port in enumerate(self._ports):
                stack.enter_context(self._sentinel(number, port))
            eventually(self.is_whole)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def is_whole(self) -> bool:
        """Return whether both replicas follow the primary, and all sentinels know of all."""
        with suppress(redis.RedisError, StopIteration):
            with redis.Redis(port=self.primary.port) as primary:
                known = primary.info("replication")
            online = [known.get(f"slave{number}", {}).get("state") for number in range(2)]
            return online == ["online"] * 2 and all(map(self._knows_all, self._ports))
        return False

    def _knows_all(self, port: int) -> bool:
        with redis.Redis(port=port, decode_responses=True) as sentinel:
            state = sentinel.sentinel_master(NAME)
        return (state["num-slaves"], state["num-other-sentinels"]) == (2, 2)

    @contextmanager
    def _sentinel(self, number: int, port: int) -> Iterator[None]:
        configuration = self._folder / f"sentinel-{number}.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self._folder}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {self.servers[0].port} 2\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MILLISECONDS}\n"
            f"sentinel failover-timeout {NAME} {FAILOVER_TIMEOUT_MILLISECONDS}\n"
            f"sentinel parallel-syncs {NAME} 2\n"
        )
        command = [*dies_with_parent("KILL"), redis_binary(), str(configuration), "--sentinel"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                yield
            finally:
                process.kill()
