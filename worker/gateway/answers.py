"""Outcomes as the answer to a request: whole, or piece by piece where they are many bytes.

An event may stand in a request as often as there are updates, and its payload is told
with each. So a long answer is written as it is sent, and sent as it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from worker.gateway.terms import JSON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from tasks.outcomes import Outcome

# More than a thousand outcomes take whose payloads are small.
PIECE_BYTES = 2**20


def answer(outcomes: Iterable[Outcome]) -> Response:
    """Answer with outcomes, in their order."""
    pieces = _pieces(outcomes)
    first = next(pieces)
    second = next(pieces, None)
    if second is None:
        return Response(first, media_type=JSON)
    return StreamingResponse(_one_after_the_other(first, second, pieces), media_type=JSON)


async def _one_after_the_other(
    first: bytes, second: bytes, rest: Iterator[bytes]
) -> AsyncIterator[bytes]:
    yield first
    yield second
    for piece in rest:
        yield piece


def _pieces(outcomes: Iterable[Outcome]) -> Iterator[bytes]:
    piece = bytearray(b"[")
    for number, outcome in enumerate(outcomes):
        if number:
            piece += b","
        piece += outcome.to_json()
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece + b"]")
