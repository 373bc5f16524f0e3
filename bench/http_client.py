"""One connection of the load client.

Our own, because each request must name other events, and each answer be looked at, at
a cost that leaves the processors to the server. It understands answers with a
Content-Length, and no more of HTTP.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = b"HTTP/1.1 200 "
END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length: "
UPDATED = b'"updated":true'
SHOWN_BYTES = 300


class Client(asyncio.Protocol):
    """One connection: sends what it is given, one after the other."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self._transport: Any = None
        self._received = bytearray()
        self._size = 0
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the server."""
        self._transport = transport

    async def send_all(self, requests: Iterator[bytes], updates_each: int, until: float) -> None:
        """Send requests until there are no more of them, or it is late."""
        self._updates_each, self._requests, self._until = updates_each, requests, until
        self._over = asyncio.get_running_loop().create_future()
        self._send_next()
        await self._over

    def _send_next(self) -> None:
        now = time.perf_counter()
        request = next(self._requests, None) if now < self._until else None
        if request is None:
            self._over.set_result(None)
            return
        self._sent = now
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take in a part of an answer, and go on after the last."""
        self._received += data
        try:
            if not self._size:
                self._size = size_of_answer(self._received)
            if not self._size or len(self._received) < self._size:
                return
            self.latencies.append(time.perf_counter() - self._sent)
            check(self._received, self._updates_each)
        except BenchError as error:
            # Others may have failed before, and ended this one.
            if not self._over.done():
                self._over.set_exception(error)
            self.close()
            return
        self._received, self._size = bytearray(), 0
        self._send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so, if an answer was due."""
        if not self._over.done():
            self._over.set_exception(BenchError("the server has closed a connection"))

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


def size_of_answer(received: bytearray) -> int:
    """Return how long an answer is in all, 0 while its head is not there.

    Raises:
        BenchError: It does not say.
    """
    end = received.find(END_OF_HEAD)
    if end < 0:
        return 0
    head = bytes(received[:end]).lower()
    at = head.find(LENGTH)
    if at < 0:
        raise BenchError("an answer has no Content-Length")
    return end + len(END_OF_HEAD) + int(head[at + len(LENGTH) :].partition(b"\r")[0])


def check(answer: bytearray, updates: int) -> None:
    """See that all updates of a request were applied.

    Raises:
        BenchError: They were not.
    """
    if not answer.startswith(OK) or answer.count(UPDATED) != updates:
        text = answer[:SHOWN_BYTES].decode(errors="replace")
        raise BenchError(f"not settled: {text!r}")
