"""Places in the stream of outcomes, and whether all behind one is still there. Pure.

A position is the id of an entry, as Redis gives it. A stream is trimmed from its beginning, so
what a reader has missed can be seen from how far the stream reaches: nothing, if it still has
an entry that is not behind the reader.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

# Redis takes twice as much; no clock and no count comes near.
FORM = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")
LAST_SEQUENCE = 10**19 - 1


class Position(NamedTuple):
    """The id of an entry, there or not."""

    milliseconds: int
    sequence: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one.

        Raises:
            ValueError: It is none.
        """
        found = FORM.fullmatch(text)
        if not found:
            raise ValueError(f"no position: {text}")
        return cls(*map(int, found.groups()))

    @classmethod
    def of(cls, id_: str) -> Self:
        """Take the id of an entry, as Redis says it."""
        milliseconds, _, sequence = id_.partition("-")
        return cls(int(milliseconds), int(sequence))

    def before(self) -> Position:
        """Return the one before it, behind which it is the next."""
        if self.sequence:
            return Position(self.milliseconds, self.sequence - 1)
        return Position(self.milliseconds - 1, LAST_SEQUENCE) if self.milliseconds else BEGINNING

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"


BEGINNING = Position(0, 0)


class Extent(NamedTuple):
    """How far a stream reaches.

    Attributes:
        first: Of the oldest entry that there is, None without any.
        last: Of the newest that there ever was.
        added: How many there ever were; None where nobody counts (Redis 6.2).
        trimmed: How many of these are gone.
    """

    first: Position | None
    last: Position
    added: int | None
    trimmed: int | None

    @classmethod
    def of(cls, stream: Mapping[str, Any] | None) -> Self:
        """Read it off what XINFO STREAM says, or None where there is no stream."""
        if stream is None:
            return cls(None, BEGINNING, 0, 0)
        first, added = stream["first-entry"], stream.get("entries-added")
        return cls(
            Position.of(first[0]) if first else None,
            Position.of(stream["last-generated-id"]),
            added,
            None if added is None else added - stream["length"],
        )

    def has_all_behind(self, position: Position, added: int | None = None) -> bool:
        """Return whether nothing is gone that was behind a position, as far as that is known.

        Args:
            position: Of a reader.
            added: How many entries there were up to it, for who knows. Without, a reader of the
                last entry that was trimmed is taken for one who has missed some.
        """
        if position > self.last or self.trimmed == 0:
            return position <= self.last
        known = 0 if position == BEGINNING else added
        if known is not None and self.trimmed is not None:
            return self.trimmed <= known
        return self.start <= position or position == BEGINNING

    @property
    def start(self) -> Position:
        """Return where to begin to read all that there is."""
        return self.first.before() if self.first else self.last

    def next_after(self, position: Position) -> Position:
        """Return where to go on from a position behind which something is gone."""
        # What the server has lost of its newest entries comes under new ids, behind the last.
        return self.last if position > self.last else self.start
