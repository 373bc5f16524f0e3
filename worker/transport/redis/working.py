"""Which of what a channel holds is worked on: if its worker dies, that alone is suspect.

What merely waits in a worker, for a slot, a rate limit or a database, has done
nothing to it. So Redis is told when the work on messages begins, before it does, and
when it ends without having been finished: a note for each span of tags in a batch, beside
the leases and with one of its own. They are one or two where much comes, and as many as the
messages where those came one by one. What is answered has no lease any more, so that its
note says nothing, and is taken away with the next one.

Looking at an item is work too, but a script call for each of a thousand would cost more
than they do. So an item is looked at in company the first time, when a death is counted
against none; one that was with a dead worker before is marked by itself, and counts.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from worker.transport.redis.scripts import NOTE, RENEW
from worker.transport.redis.spans import spans_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

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
        # What is noted as worked on: the tags of each span.
        self._noted: dict[str, list[str]] = {}
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
        self._begun.update(dict.fromkeys(tags, time.monotonic()))
        self._renote(spans_of(tags), over=self._answered())
        return self.looking_at(tags, deaths=1)

    def pause(self, tags: Sequence[str]) -> None:
        """Note that nobody works on messages for a while, which is not their fault."""
        for tag in tags:
            self._begun.pop(tag, None)
        paused = set(tags)
        over = [span for span, noted in self._noted.items() if not paused.isdisjoint(noted)]
        others = [tag for span in over for tag in self._noted[span] if tag not in paused]
        self._renote(spans_of(others), over=over)

    def park(self, tag: str) -> None:
        """Note that a message waits without a slot."""
        self.parked.add(tag)
        self._begun.pop(tag, None)

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
        [looked_at] = spans_of([tag])
        self._note(begun=[looked_at], over=self._last_looked_at())
        self._looked_at = looked_at

    def look_away(self) -> None:
        """Note that nothing is looked at any more."""
        if self._looked_at:
            self._note(over=self._last_looked_at())
            self._looked_at = ""

    def _last_looked_at(self) -> list[str]:
        return [self._looked_at] if self._looked_at and self._looked_at not in self._noted else []

    def _answered(self) -> list[str]:
        held = self._delivered.keys()
        return [span for span, tags in self._noted.items() if held.isdisjoint(tags)]

    def _renote(self, begun: dict[str, list[str]], *, over: Collection[str]) -> None:
        self._note(begun=begun, over=over)
        for span in over:
            del self._noted[span]
        self._noted.update(begun)

    def _note(self, *, begun: Collection[str] = (), over: Collection[str] = ()) -> None:
        """Let Redis know what is worked on from now on, and what is not any more."""
        if begun or over:
            key = self.channel.worked_on_key
            self.channel.run(NOTE, [key], [len(over), *over, *begun])

    def _renew(self, now: float) -> None:
        """Renew the leases of what is held, but not of what is worked on for too long."""
        self._flush()
        self._renote({}, over=self._answered())
        held = self._delivered.keys()
        self._blamed = {tag: deaths for tag, deaths in self._blamed.items() if tag in held}
        self._begun = {tag: since for tag, since in self._begun.items() if tag in held}
        oldest = now - self.channel.lease_max_seconds
        tags = [tag for tag in held if self._begun.get(tag, now) > oldest]
        self._begin_leases_anew(self.unacked_index_key, tags)
        self._begin_leases_anew(self.channel.worked_on_key, list(self._noted))
        self.channel.on_renewed(len(tags))

    def _begin_leases_anew(self, key: str, names: Sequence[str]) -> None:
        for start in range(0, len(names), STEP):
            self.channel.run(RENEW, [key], names[start : start + STEP])
