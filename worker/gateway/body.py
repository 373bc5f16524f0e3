"""What a request carries: its body, read within bounds and understood as updates.

Unlike a message from the queue a request is refused as a whole, with its reason,
when anything in it is not valid: its sender is there to be told.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from tasks.messages import check_all, explain
from worker.gateway.problems import RETRY_SOON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from tasks.messages import StatusUpdate

JSON = "application/json"
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
            HTTPException: It is something else, or too large.
            ClientDisconnect: It did not come.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise HTTPException(415, f"Content-Type: must be {JSON}")
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            self._refuse(int(declared))
        body = bytearray()
        with self._holding(body):
            async for chunk in request.stream():
                body += chunk
                self._held_bytes += len(chunk)
                if len(body) > self._max_bytes:
                    self._refuse(len(body))
                if self._held_bytes > MAX_HELD_BYTES:
                    raise HTTPException(503, "too much at once: try again", RETRY_SOON)
            return bytes(body)

    def _refuse(self, size: int) -> NoReturn:
        raise HTTPException(
            413, f"the body is {size:,} bytes or more, and may be {self._max_bytes:,}"
        )

    @contextmanager
    def _holding(self, body: bytearray) -> Iterator[None]:
        try:
            yield
        finally:
            self._held_bytes -= len(body)


def understand(body: bytes, *, max_updates: int) -> list[StatusUpdate]:
    """Understand a body as updates.

    Args:
        body: JSON, `[{"id": …, "status": …}, …]`.
        max_updates: How many there may be.

    Raises:
        HTTPException: It is not that; the text names the element and the field.
    """
    updates = _decode(body)
    if not isinstance(updates, list):
        raise HTTPException(400, "the body must be an array: [{id, status}, …]")
    if not 1 <= len(updates) <= max_updates:
        raise HTTPException(
            400, f"a request carries 1 to {max_updates} updates, this one {len(updates)}"
        )
    try:
        return check_all(updates)
    except ValidationError as error:
        raise HTTPException(400, explain(error)) from error


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        reason = error
    try:
        # It lets an element that has a lone surrogate be named.
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise HTTPException(400, f"the body is not JSON: {reason}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
