"""Outcomes or events as the answer to a request: whole, or by pieces where they are many bytes.

An event may stand in a request as often as there are updates, and its payload stands
in the outcome of each. So a long answer is written as it is sent, and sent as it is read.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Protocol

from starlette.responses import Response, StreamingResponse

from gateway.terms import JSON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

# More than a thousand outcomes take whose payloads are small.
PIECE_BYTES = 2**20


class Part(Protocol):
    """What stands in an answer among others."""

    def to_json(self) -> bytes:
        """Write it."""


def answer(parts: Iterable[Part], headers: Mapping[str, str] | None = None) -> Response:
    """Answer with an array of parts, in their order."""
    pieces = _pieces(parts)
    first = next(pieces)
    second = next(pieces, None)
    if second is None:
        return Response(first, headers=headers, media_type=JSON)
    rest = _in_the_loop(chain((first, second), pieces))
    return StreamingResponse(rest, headers=headers, media_type=JSON)


async def _in_the_loop(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Make pieces here: what is not asynchronous would go to a thread for each."""
    for piece in pieces:
        yield piece


def _pieces(parts: Iterable[Part]) -> Iterator[bytes]:
    piece = bytearray(b"[")
    for number, part in enumerate(parts):
        if number:
            piece += b","
        piece += part.to_json()
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece + b"]")
