"""The bodies of requests, read within bounds: each by itself, and all together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from starlette.exceptions import HTTPException

from gateway import terms

if TYPE_CHECKING:
    from starlette.requests import Request

# Of all requests together, while they are read.
MAX_HELD_BYTES = 128 * 2**20


class Reader:
    """Reads bodies, and knows how much of them is held."""

    def __init__(self, max_bytes: int) -> None:
        """Hold nothing yet.

        Args:
            max_bytes: How large a body may be.
        """
        self._max_bytes = max_bytes
        self._held_bytes = 0

    async def read(self, request: Request) -> bytes:
        """Read a body of JSON.

        Raises:
            HTTPException: It is something else, compressed, or too large.
            ClientDisconnect: It did not come.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != terms.JSON:
            raise HTTPException(415, terms.NOT_JSON)
        if request.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
            raise HTTPException(415, terms.ENCODED, terms.PLAIN_ONLY)
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            self._refuse()
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                self._held_bytes += len(chunk)
                if len(body) > self._max_bytes:
                    self._refuse()
                if self._held_bytes > MAX_HELD_BYTES:
                    raise HTTPException(503, terms.TOO_MUCH_WAITS, terms.RETRY_SOON)
        finally:
            self._held_bytes -= len(body)
        return bytes(body)

    def _refuse(self) -> NoReturn:
        raise HTTPException(413, terms.too_large(self._max_bytes))
