"""Outcomes as the answer to a request: whole, or piece by piece where they are many bytes.

An event may stand in a request as often as there are updates, and its payload stands
in the outcome of each. So a long answer is written as it is sent, and sent as it is read.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from gateway.terms import JSON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from settle_client.outcome import Outcome

# More than a thousand outcomes take whose payloads are small.
PIECE_BYTES = 2**20


def answer(outcomes: Iterable[Outcome]) -> Response:
    """Answer with outcomes, in their order."""
    pieces = _pieces(outcomes)
    first = next(pieces)
    second = next(pieces, None)
    if second is None:
        return Response(first, media_type=JSON)
    return StreamingResponse(_in_the_loop(chain((first, second), pieces)), media_type=JSON)


async def _in_the_loop(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Make pieces here: what is not asynchronous would go to a thread for each."""
    for piece in pieces:
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
