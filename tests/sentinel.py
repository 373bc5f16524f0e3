"""A sentinel of the tests' own, which watches a primary."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import redis

from cli.embedded import Redis, dies_with_parent, free_port
from cli.embedded.binaries import redis_binary
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Longer than a busy machine keeps a server from answering.
DOWN_AFTER_MILLISECONDS = 3_000


@contextmanager
def sentinel(primary: Redis, folder: Path, *, guard: str = "") -> Iterator[str]:
    """Run a sentinel that watches a primary under the name `settle`, and give its URL.

    Args:
        primary: The server.
        folder: Where it may write.
        guard: Lines of its configuration, such as say who may ask it.
    """
    port = free_port()
    configuration = folder / f"sentinel-{port}.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor settle 127.0.0.1 {primary.port} 1\n"
        f"sentinel down-after-milliseconds settle {DOWN_AFTER_MILLISECONDS}\n"
        f"sentinel failover-timeout settle 2000\n{guard}\n"
    )
    command = [*dies_with_parent("KILL"), redis_binary(), str(configuration), "--sentinel"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _answers(port))
            yield f"sentinel://127.0.0.1:{port}"
        finally:
            process.kill()


def _answers(port: int) -> bool:
    with redis.Redis(port=port) as client, suppress(redis.ConnectionError):
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            return True
    return False
