"""A stream of Server-Sent Events, read as it comes, in pieces of any size; pure.

As the HTML standard has it, but that an event without data is given, too: its id says
where the listener is. What is cut off at the end is no event.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_END = re.compile(rb"\r\n|\n|\r")
_MARK = b"\xef\xbb\xbf"


class Said(NamedTuple):
    """An event: the last id, its type, and its data, None if there is none."""

    position: str
    kind: str
    data: str | None


class Parser:
    """What has come of a stream and is no whole event yet."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._after_return = False
        self._is_first = True
        self._position, self._kind = "", ""
        self._data: list[str] | None = None
        self._has_field = False

    def feed(self, piece: bytes) -> Iterator[Said]:
        """Give the events that a piece ends."""
        if self._after_return and piece.startswith(b"\n"):
            piece = piece[1:]
        if piece:
            self._after_return = piece.endswith(b"\r")
        first, *others = _END.split(piece)
        self._line += first
        for following in others:
            line, self._line = self._line, bytearray(following)
            if said := self._take(bytes(line)):
                yield said

    def _take(self, line: bytes) -> Said | None:
        if self._is_first:
            line, self._is_first = line.removeprefix(_MARK), False
        if not line:
            return self._end()
        name, _, value = line.decode(errors="replace").partition(":")
        self._note(name, value.removeprefix(" "))
        return None

    def _note(self, name: str, value: str) -> None:
        match name:
            case "id" if "\0" not in value:
                self._position = value
            case "event":
                self._kind = value
            case "data":
                self._data = [*(self._data or ()), value]
            case _:
                return
        self._has_field = True

    def _end(self) -> Said | None:
        if not self._has_field:
            return None
        data = None if self._data is None else "\n".join(self._data)
        said = Said(self._position, self._kind or "message", data)
        self._kind, self._data, self._has_field = "", None, False
        return said
