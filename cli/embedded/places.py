"""Where a server keeps its data, and the port it listens on."""

from __future__ import annotations

import random
import shutil
import socket
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Below those that the kernel gives to clients: one that looks for a server which has
# stopped could be given the server's own port, and keep it from starting again.
PORTS = range(20_000, 32_768)
MAX_TRIES = 100
# Whoever has been given one may not listen there yet.
_GIVEN: set[int] = set()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder for servers, which the user they run as can reach, and remove it after."""
    directory = Path(tempfile.mkdtemp(prefix="settle-"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def free_port() -> int:
    """Return a loopback port that nobody listens on just now, and that was not returned lately.

    Raises:
        OSError: None was found.
    """
    if len(_GIVEN) * 2 > len(PORTS):
        _GIVEN.clear()
    for port in random.SystemRandom().sample(PORTS, MAX_TRIES):
        with socket.socket() as probe, suppress(OSError):
            if port not in _GIVEN:
                probe.bind(("127.0.0.1", port))
                _GIVEN.add(port)
                return port
    raise OSError(f"no port is free from {PORTS.start} to {PORTS.stop - 1}")
