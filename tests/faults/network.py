"""A link to a server that can be cut, silenced and slowed: a small TCP proxy."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl

CHUNK_BYTES = 65_536
# SO_LINGER with no time: closing sends RST, as a broken network does.
ABORTIVE = struct.pack("ii", 1, 0)


class Link:
    """Forwards connections from a loopback port of its own to a server's port."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        """Forward to a port on loopback, once started; take TLS if there is a context for it."""
        self.server_port, self._tls = port, tls
        self.server_host, self.port = "127.0.0.1", 0
        self.delay_seconds = 0.0
        self.silent = False
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        start = asyncio.start_server(self._accept, "127.0.0.1", ssl=self._tls)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def through(self, url: str) -> str:
        """Return a server's URL, going through this link."""
        return url.replace(f":{self.server_port}", f":{self.port}")

    def cut(self) -> None:
        """Break every connection, in the middle of whatever it carries; new ones are possible."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    async def _cut(self) -> None:
        # One that is being closed, by its peer, has no socket to be asked for over TLS.
        for writer in (writer for writer in self._writers if not writer.is_closing()):
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE)
            writer.transport.abort()

    async def _stop(self) -> None:
        self._server.close()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio would print that it was cancelled, at the end.
        with suppress(OSError, asyncio.CancelledError):
            there = await asyncio.open_connection(self.server_host, self.server_port)
            both = asyncio.gather(self._forward(reader, there[1]), self._forward(there[0], writer))
            self._writers |= {writer, there[1]}
            await both
            self._writers -= {writer, there[1]}
        writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                while self.silent:  # noqa: ASYNC110 - set by another thread
                    await asyncio.sleep(0.01)
                writer.write(chunk)
                await writer.drain()
        writer.close()
