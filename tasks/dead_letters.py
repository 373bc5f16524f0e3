"""What could not be applied, kept for a person: looked at, sent again, or dropped.

The reading side of the dead letters; `tasks.publishing` writes them. An entry is one
update of a message, or a message of which nothing could be understood. What is in one
is understood by `tasks.replaying`; who only watches uses `tasks.latest_letters`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settle_client.names import DEAD_LETTERS
from tasks.publishing import entry_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import redis

    from tasks.publishing import DeadLetter

ENTRIES_PER_READ = 500
REPLACE_LETTER = Path(__file__).with_name("replace_letter.lua").read_text("utf-8")
# Of an index; a message carries fewer updates.
MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A dead letter as it lies in the stream."""

    entry: str
    message_id: str
    reason: str
    time: str
    delivery: dict[str, Any]
    raw: str
    index: int | None = None

    @property
    def deliveries(self) -> int:
        """Return how many workers died with it."""
        count = self.delivery.get("deliveriesToDeadWorkers", 0)
        return count if isinstance(count, int) else 0


class DeadLetters:
    """The stream of dead letters."""

    def __init__(self, client: redis.Redis) -> None:
        """Read through a client that decodes responses, of the Redis of the result channel."""
        self._client: Any = client

    def __len__(self) -> int:
        return int(self._client.xlen(DEAD_LETTERS))

    def newest(self, count: int) -> list[KeptLetter]:
        """Return the newest letters, oldest of them first."""
        entries = self._client.xrevrange(DEAD_LETTERS, count=count)
        return [letter_of(*entry) for entry in reversed(entries)]

    def all(self) -> Iterator[KeptLetter]:
        """Yield the letters that there are now, oldest first."""
        newest = self._client.xrevrange(DEAD_LETTERS, count=1)
        since = "-"
        while newest:
            entries = self._client.xrange(DEAD_LETTERS, since, newest[0][0], count=ENTRIES_PER_READ)
            if not entries:
                return
            yield from (letter_of(*entry) for entry in entries)
            since = f"({entries[-1][0]}"

    def find(self, entry: str) -> KeptLetter | None:
        """Return one letter by its id in the stream, None if there is none."""
        entries = self._client.xrange(DEAD_LETTERS, entry, entry)
        return letter_of(*entries[0]) if entries else None

    def drop(self, entries: Iterable[str]) -> int:
        """Remove letters, and return how many there were."""
        entries = list(entries)
        return int(self._client.xdel(DEAD_LETTERS, *entries)) if entries else 0

    def replace(self, letter: KeptLetter, rest: Sequence[DeadLetter]) -> None:
        """Put what is left of a letter in its place, all at one moment, unless it is gone."""
        entries = [entry_of(left) for left in rest]
        fields = [(2 * len(entry), *chain(*entry.items())) for entry in entries]
        replace = self._client.register_script(REPLACE_LETTER)
        replace(keys=[DEAD_LETTERS], args=[letter.entry, *chain(*fields)])


def letter_of(entry: str, fields: dict[str, str]) -> KeptLetter:
    """Return a letter, from what lies in the stream."""
    try:
        delivery = json.loads(fields.get("delivery", "{}"))
    except (ValueError, RecursionError):
        delivery = {}
    return KeptLetter(
        entry,
        fields.get("messageId", ""),
        fields.get("reason", ""),
        fields.get("time", ""),
        delivery if isinstance(delivery, dict) else {},
        fields.get("raw", ""),
        _number(fields.get("index", "")),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else None
