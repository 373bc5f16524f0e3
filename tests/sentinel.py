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


@contextmanager
def sentinel(primary: Redis, folder: Path) -> Iterator[str]:
    """Run a sentinel that watches a primary under the name `settle`, and give its URL."""
    port, configuration = free_port(), folder / "sentinel.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor settle 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds settle 500\n"
        "sentinel failover-timeout settle 2000\n"
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
        return bool(client.ping())
    return False
