"""What could not be applied, kept for a person: looked at, sent again, or dropped.

The reading side of the dead letters; `tasks.publishing` writes them. An entry is one
update of a message, or a message of which nothing could be understood.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from settle_client.names import DEAD_LETTERS
from tasks.errors import NotUnderstoodError
from tasks.messages import Message, read_message, understand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import redis

    from settle_client.update import StatusUpdate

ENTRIES_PER_READ = 500
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
        return [_letter(*entry) for entry in reversed(entries)]

    def all(self) -> Iterator[KeptLetter]:
        """Yield the letters that there are now, oldest first."""
        newest = self._client.xrevrange(DEAD_LETTERS, count=1)
        since = "-"
        while newest:
            entries = self._client.xrange(DEAD_LETTERS, since, newest[0][0], count=ENTRIES_PER_READ)
            if not entries:
                return
            yield from (_letter(*entry) for entry in entries)
            since = f"({entries[-1][0]}"

    def find(self, entry: str) -> KeptLetter | None:
        """Return one letter by its id in the stream, None if there is none."""
        entries = self._client.xrange(DEAD_LETTERS, entry, entry)
        return _letter(*entries[0]) if entries else None

    def drop(self, entries: Iterable[str]) -> int:
        """Remove letters, and return how many there were."""
        entries = list(entries)
        return int(self._client.xdel(DEAD_LETTERS, *entries)) if entries else 0


def _letter(entry: str, fields: dict[str, str]) -> KeptLetter:
    try:
        delivery = json.loads(fields.get("delivery", "{}"))
    except ValueError:
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


def understand_again(letter: KeptLetter, *, max_updates: int) -> Message:
    """Understand what a letter holds, with the rules of today.

    Args:
        letter: One update, or a whole message.
        max_updates: How many updates a message may carry.

    Raises:
        NotUnderstoodError: There still are no updates to be found in it.
    """
    try:
        raw = json.loads(letter.raw)
    except ValueError as error:
        raise NotUnderstoodError(f"what was kept is not JSON: {error}") from error
    if isinstance(raw, dict) and {"headers", "properties", "body"} <= raw.keys():
        return read_message(letter.message_id, _body(raw), max_updates=max_updates)
    return understand(letter.message_id, [[raw]], {}, max_updates=max_updates)


def _body(raw: dict[str, Any]) -> str:
    if "body-bytes" in raw:
        raise NotUnderstoodError(f"of its {raw['body-bytes']:,} bytes only the first were kept")
    if not isinstance(raw["body"], str):
        raise NotUnderstoodError("it has no body")
    return raw["body"]


def arguments(updates: Sequence[StatusUpdate]) -> list[Any]:
    """Return the arguments of a message that carries some valid updates."""
    return [[update.to_dict() for update in updates]]
