"""The bodies of requests, read within bounds: each by itself, and all together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from starlette.exceptions import HTTPException

from gateway import terms
from gateway.requests.fairness import SharedRoom

if TYPE_CHECKING:
    from starlette.requests import Request

    Accounts = frozenset[str] | None

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
        self._room = SharedRoom(MAX_HELD_BYTES + 1)

    async def read(self, request: Request, accounts: Accounts) -> bytes:
        """Read a body of JSON.

        Args:
            request: Whose it is.
            accounts: Whose events there are for it, None for all.

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
                self._room.take(accounts, len(chunk))
                if len(body) > self._max_bytes:
                    self._refuse()
                if self._room.is_full_of(accounts):
                    raise HTTPException(503, terms.TOO_MUCH_WAITS, terms.RETRY_SOON)
        finally:
            self._room.give_back(accounts, len(body))
        return bytes(body)

    def _refuse(self) -> NoReturn:
        raise HTTPException(413, terms.too_large(self._max_bytes))
