"""What is not valid, told in one line a kind, however often it comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.reasons import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.lines.reading import Place

MAX_KINDS = 20


@dataclass(slots=True)
class Kind:
    """Errors that are the same but for what was given."""

    error: str
    first: Place | str
    last: Place | str
    count: int = 1

    def __str__(self) -> str:
        if self.count == 1:
            return f"{self.first}: {self.error}"
        return f"{self.first} and {self.count - 1:,} more, up to {self.last}: {self.error}"


class Refusals:
    """All that was not valid."""

    def __init__(self) -> None:
        self.count = 0
        self._kinds: dict[str, Kind] = {}

    def add(self, place: Place | str, error: str) -> None:
        """Record one."""
        self.count += 1
        name = kind_of(error)
        if kind := self._kinds.get(name):
            kind.count, kind.last = kind.count + 1, place
        elif len(self._kinds) < MAX_KINDS:
            self._kinds[name] = Kind(error, place, place)

    def lines(self) -> Iterator[str]:
        """Yield a line for each kind, and one for those beyond the first kinds."""
        yield from map(str, self._kinds.values())
        if more := self.count - sum(kind.count for kind in self._kinds.values()):
            yield f"and {more:,} that are not valid for other reasons"
