"""What is too old in a stream, removed in steps: outcomes, and dead letters.

Age is read off the ids of entries, which are the server's own time. Outcomes that a
consumer group has not read, or not acknowledged, are kept unless the caller says
otherwise. Readers without a group are not known to the server: nothing waits for
them. The stream's own limit, in `tasks.publishing`, waits for nobody either.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

if TYPE_CHECKING:
    from collections.abc import Mapping

# One step keeps the server from others for about a millisecond.
ENTRIES_PER_STEP = 10_000
ENTRIES_PER_COUNT = 1_000

COUNT_ENTRIES = Path(__file__).with_name("count_entries.lua").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Decision:
    """Up to where to remove: entries below `keep_from` go.

    `held_back` has the oldest id that is too old and still needed, by group.
    """

    keep_from: str
    held_back: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Removal:
    """How many entries went, or would go, and how many are left."""

    removed: int
    left: int
    held_back: Mapping[str, str]


def decide(cutoff: str, needed: Mapping[str, str]) -> Decision:
    """Decide up to where to remove.

    Args:
        cutoff: The id below which entries are too old.
        needed: The oldest id that a consumer group still needs, by group.
    """
    held_back = {group: id_ for group, id_ in needed.items() if _order(id_) < _order(cutoff)}
    return Decision(min((cutoff, *held_back.values()), key=_order), held_back)


class AgedStream:
    """A stream from which old entries are removed."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        """Work through a client that decodes responses."""
        self._client: Any = client
        self._name = name

    def __len__(self) -> int:
        return int(self._client.xlen(self._name))

    def cutoff(self, age_milliseconds: int) -> str:
        """Return the id below which entries are older than an age, by the server's clock."""
        seconds, microseconds = self._client.time()
        now = seconds * 1_000 + microseconds // 1_000
        # Redis takes no range that ends before the very first id.
        return f"{max(1, now - age_milliseconds)}-0"

    def remove(self, cutoff: str, *, force: bool = False, dry_run: bool = False) -> Removal:
        """Remove entries below an id, apart from those that a consumer group still needs.

        A group that is made meanwhile is not waited for.

        Args:
            cutoff: See `cutoff`.
            force: Remove also what groups need.
            dry_run: Only count.
        """
        decision = decide(cutoff, {} if force else self.needed(cutoff))
        if dry_run:
            count = self._count(decision.keep_from)
            left = len(self) - count
        else:
            count = self._trim(decision.keep_from)
            left = len(self)
        return Removal(count, left, decision.held_back)

    def needed(self, cutoff: str) -> dict[str, str]:
        """Return the oldest id below another that a consumer group still needs, by group."""
        try:
            groups = self._client.xinfo_groups(self._name)
        except redis.ResponseError as error:
            if "no such key" in str(error):
                return {}
            raise
        oldest = self._client.xrange(self._name, count=1)
        if not oldest:
            return {}
        needed = {}
        for group in groups:
            # Not by its lag: before version 7 it is not known, and later not always.
            since = f"({group['last-delivered-id']}"
            unread = self._client.xrange(self._name, since, f"({cutoff}", count=1)
            # Of those pending, some may be trimmed already: nobody can read them any more.
            pending = self._client.xpending_range(
                self._name, group["name"], min=oldest[0][0], max=f"({cutoff}", count=1
            )
            ids = [entry[0] for entry in unread] + [entry["message_id"] for entry in pending]
            if ids:
                needed[group["name"]] = min(ids, key=_order)
        return needed

    def _count(self, keep_from: str) -> int:
        script = self._client.register_script(COUNT_ENTRIES)
        count = 0
        since = "-"
        while True:
            found, last = script(
                keys=[self._name], args=[since, f"({keep_from}", ENTRIES_PER_COUNT]
            )
            count += int(found)
            if found < ENTRIES_PER_COUNT:
                return count
            since = f"({last}"

    def _trim(self, keep_from: str) -> int:
        count = 0
        while removed := self._client.xtrim(
            self._name, minid=keep_from, approximate=True, limit=ENTRIES_PER_STEP
        ):
            count += int(removed)
        # Only an approximate step can be limited. It takes whole nodes of the stream, so
        # what it has left is a part of one.
        rest = self._client.xtrim(self._name, minid=keep_from, approximate=False)
        return count + int(rest)


def _order(id_: str) -> tuple[int, int]:
    milliseconds, _, sequence = id_.partition("-")
    return int(milliseconds), int(sequence)
