"""Where what a client sends may be cut, so that no piece goes beyond the end of a head.

The parser takes any number of bytes and does not say how many of them were a head's: a
head of any length that comes at once, or behind another request, would be as long as
what happens to be read at a time. So the parser is fed in pieces. A head ends with a
line; a body ends where its length says, or with the line of a chunk of no bytes. Pure.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Part(Enum):
    """What comes next."""

    HEAD = auto()
    BODY = auto()
    CHUNKS = auto()
    # Behind the line with the size of a chunk: its bytes, or fields if it was the last.
    CHUNK_OR_FIELDS = auto()


class Framing:
    """Which part of a request a client has come to."""

    def __init__(self) -> None:
        self.begin_head()

    def begin_head(self) -> None:
        """Begin with a request."""
        self._part, self._left, self.head_bytes = Part.HEAD, 0, 0

    def end_head(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Begin with its body, if it has one."""
        fields = dict(headers)
        self._part = Part.CHUNKS if b"transfer-encoding" in fields else Part.BODY
        length = fields.get(b"content-length", b"")
        self._left = int(length) if length.isdigit() else 0

    def begin_chunk(self) -> None:
        """Begin with a chunk."""
        self._part, self.head_bytes = Part.CHUNK_OR_FIELDS, 0

    def take_body(self, size: int) -> None:
        """Take some bytes of the body."""
        if self._part is not Part.BODY:
            self._part = Part.CHUNKS
        self._left -= size

    @property
    def in_head(self) -> bool:
        """Return whether what comes next is a head's."""
        return self._part is Part.HEAD

    @property
    def in_fields(self) -> bool:
        """Return whether what comes next is a head's, or fields behind a body."""
        return self._part in (Part.HEAD, Part.CHUNK_OR_FIELDS)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what has come in pieces, each to be parsed before the next is asked for."""
        start = 0
        while start < len(data):
            end = self._end(data, start)
            piece = data if end - start == len(data) else data[start:end]
            if self.in_fields:
                self.head_bytes += len(piece)
            yield piece
            start = end

    def _end(self, data: bytes, start: int) -> int:
        end = len(data)
        if self._part is Part.BODY:
            return min(start + self._left, end) if self._left > 0 else end
        # The line of the last chunk may have begun with what came before.
        if self._part is Part.CHUNKS and start and data[start : start + 1] != b"0":
            return data.find(b"\n0", start) + 1 or end
        return data.find(b"\n", start) + 1 or end
