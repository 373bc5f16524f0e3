"""When outcomes are received from the Pub/Sub channel: in a process that does nothing else.

Beside the load generator, in its process, it would wait for Python's lock, and that wait would
count as a latency. What comes is only read and stamped, and looked at when all is over, so
that it takes next to nothing of the processors that are measured.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import hiredis
import redis

from settle_client.names import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterable

READ_BYTES = 2**20
STOP_SECONDS = 60


class Listener:
    """Notes when the outcome of each event is received, by `time.perf_counter`."""

    def __init__(self, url: str) -> None:
        """Listen from here on."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_listen, args=(url, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()

    @property
    def pid(self) -> int:
        """Return the process that listens."""
        return self._process.pid or 0

    def close(self) -> dict[str, float]:
        """Stop listening, and return when the outcome of each event came."""
        self._pipe.send(None)
        received: dict[str, float] = self._pipe.recv()
        self._process.join(STOP_SECONDS)
        return received


def _listen(url: str, pipe: Any) -> None:
    client: Any = redis.Redis.from_url(url, protocol=2)
    connection = client.connection_pool.get_connection()
    connection.send_command("SUBSCRIBE", OUTCOMES)
    connection.read_response()
    socket = connection._sock  # noqa: SLF001 - redis-py reads one message at a time
    came: list[tuple[float, bytes]] = []
    pipe.send(None)
    while True:
        ready = wait([socket, pipe])
        if socket in ready:
            data = socket.recv(READ_BYTES)
            came.append((time.perf_counter(), data))
            if not data:
                break
        elif pipe in ready:
            break
    pipe.send(moments(came))


def moments(came: Iterable[tuple[float, bytes]]) -> dict[str, float]:
    """Return when the outcome of each event came.

    Args:
        came: What was read, and when.
    """
    reader = hiredis.Reader()
    received: dict[str, float] = {}
    for at, data in came:
        reader.feed(data)
        while isinstance(message := reader.gets(), list):
            received[json.loads(message[2])["id"]] = at
    return received
