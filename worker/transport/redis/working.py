"""Which of what a channel holds is worked on: if its worker dies, that alone is suspect.

What merely waits in a worker, for a slot, a rate limit or a database, has done
nothing to it. So Redis is told when the work on messages begins, before it does, and
when it ends without having been finished. It is told in the lease, whose score is
`WORKED` seconds later: nothing can be left behind of it when a message is answered.

Looking at an item is work too, but a script call for each of a thousand would cost more
than they do. So an item is looked at in company the first time, when a death is counted
against none; one that was with a dead worker before is marked by itself, and counts.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from worker.transport.redis.scripts import RENEW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

# Seconds, as in scripts/*.lua. Below 2^53 microseconds together with the time.
WORKED = 2.0**32
# Entries that one step of Redis handles: a few milliseconds.
STEP = 500


class Working:
    """The part of what keeps a channel's books that knows what is worked on."""

    channel: Any
    unacked_index_key: str
    parked: set[str]
    _delivered: Any
    _flush: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Since when, in seconds of the monotonic clock.
        self._begun: dict[str, float] = {}
        self._marked: set[str] = set()
        # How many deaths to count for what an exception ended the worker at.
        self._blamed: dict[str, int] = {}
        self._looked_at = ""

    def begin(self, tags: Sequence[str]) -> AbstractContextManager[None]:
        """Note that the work on messages begins: they are suspects, should it kill.

        Returns:
            What to hand them over to a slot in: an exception there is theirs, too.
        """
        self._flush()
        tags = [tag for tag in tags if tag in self._delivered]
        self._marked.update(tags)
        self._begun.update(dict.fromkeys(tags, time.monotonic()))
        self._mark(working=tags)
        return self.looking_at(tags, deaths=1)

    def pause(self, tags: Sequence[str]) -> None:
        """Note that nobody works on messages for a while, which is not their fault."""
        for tag in tags:
            self._begun.pop(tag, None)
        self._marked.difference_update(tags)
        self._mark(waiting=tags)

    def park(self, tag: str) -> None:
        """Note that a message waits without a slot; Redis learns of it when leases are renewed."""
        self.parked.add(tag)
        self._begun.pop(tag, None)
        self._marked.discard(tag)

    def resume(self, tags: Sequence[str]) -> None:
        """Note that they are worked on again: the first try has shown that they do not kill."""
        self._begun.update(dict.fromkeys(tags, time.monotonic()))

    @contextmanager
    def looking_at(self, tags: Iterable[str], *, deaths: int) -> Iterator[None]:
        """Take items for the cause if an exception ends the worker.

        Args:
            tags: Of the items; not looked at before that.
            deaths: How many to count for each then. With 0 one of them will be to blame:
                which, shows when each is looked at alone.
        """
        try:
            yield
        except self.channel.connection_errors:
            raise
        except Exception:
            self._blamed.update(dict.fromkeys(tags, deaths))
            raise

    def look_closely(self, tag: str) -> None:
        """Let Redis know what is looked at, in case that nobody can do so after."""
        self._mark(waiting=self._last_looked_at(), working=[tag])
        self._looked_at = tag

    def look_away(self) -> None:
        """Note that nothing is looked at any more."""
        if self._looked_at:
            self._mark(waiting=self._last_looked_at())
            self._looked_at = ""

    def _last_looked_at(self) -> list[str]:
        return [self._looked_at] if self._looked_at and self._looked_at not in self._marked else []

    def _renew(self, now: float) -> None:
        """Renew the leases of what is held, but not of what is worked on for too long."""
        self._flush()
        held = self._delivered.keys()
        self._marked &= held
        self._blamed = {tag: deaths for tag, deaths in self._blamed.items() if tag in held}
        self._begun = {tag: since for tag, since in self._begun.items() if tag in held}
        oldest = now - self.channel.lease_max_seconds
        tags = [tag for tag in held if self._begun.get(tag, now) > oldest]
        self._mark(
            waiting=[tag for tag in tags if tag not in self._marked],
            working=[tag for tag in tags if tag in self._marked],
        )
        self.channel.on_renewed(len(tags))

    def _mark(self, waiting: Sequence[str] = (), working: Sequence[str] = ()) -> None:
        """Begin leases anew, of messages that wait and of such that are worked on."""
        tags = [*waiting, *working]
        for start in range(0, len(tags), STEP):
            some = tags[start : start + STEP]
            still_waiting = min(max(len(waiting) - start, 0), STEP)
            self.channel.run(RENEW, [self.unacked_index_key], [still_waiting, *some])
