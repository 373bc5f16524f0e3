"""Reading as a member of a consumer group, without its I/O: each outcome handled by one.

Everything comes by one way: what is this member's and not acknowledged is read again
from the group, be it left from before, new, or taken over from a member that is gone.
An outcome is acknowledged when the next is asked for, or, by a caller that is faster than
the server answers, a few such answers later, together with those that came meanwhile: so
nobody waits for the server once for each. For as long as the caller takes, the member
renews what it holds, so that nobody takes that over; what it could not renew in time it
asks for again, and gives only what still is its own.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from settle_client.names import OUTCOMES
from settle_client.patience import Patience, logger
from settle_client.reading import BLOCK_SECONDS, entries_of
from settle_client.salvage import read_entry
from settle_client.standing import find_group, standing_of
from settle_client.steps import Given, Repeat, Together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from settle_client.reading import Clock, Commands, Reading

# All of them are this member's until it has handled them: others may be idle meanwhile.
ENTRIES_PER_READ = 100
# Of the time after which what a member holds is taken over.
RENEWED_AFTER = 1 / 3
SHORTEST_RENEWAL_SECONDS = 0.05
# As long as an acknowledgement takes, so many times: what lies between two of them.
BETWEEN_ACKNOWLEDGEMENTS = 3
# While the caller is at one that takes longer than those before.
ACKNOWLEDGED_AFTER_SECONDS = 0.05
NOBODYS = "0-0"
LOOK = (("XINFO STREAM", OUTCOMES), ("XINFO GROUPS", OUTCOMES))


class Page:
    """What a member holds, oldest first; read by the threads that renew and acknowledge, too."""

    def __init__(self, entries: Sequence[Any], fresh_until: float) -> None:
        """Hold entries of the stream that are the member's own until some time."""
        self.entries, self.fresh_until = tuple(entries), fresh_until
        self.done = self.acknowledged = 0

    @property
    def held(self) -> Sequence[Any]:
        """Return what is not handled."""
        return self.entries[self.done :]


NOTHING = Page((), 0.0)


class Member:
    """One member of a consumer group."""

    def __init__(
        self,
        group: str,
        consumer: str,
        claim_after_seconds: float,
        on_gone: Callable[[int | None], None] | None = None,
        now: Clock = time.monotonic,
    ) -> None:
        """Hold nothing yet; see `settle_client.OutcomeClient.follow`."""
        self._on_gone = on_gone or self._log_gone
        self._group, self._consumer, self._now = group, consumer, now
        self._claim_after_seconds = claim_after_seconds
        self._claim_at, self._cursor = now(), NOBODYS
        self._patience = Patience(is_endless=True)
        self._page, self._acknowledge_at = NOTHING, now()
        # Whether this member may hold what it does not know of.
        self._resumes = True
        self._may_look = True

    def follow(self) -> Reading[None]:
        """Give outcomes, one after the other."""
        yield from self._patience.outlast(self._make_group)
        yield Repeat(
            max(self._claim_after_seconds * RENEWED_AFTER, SHORTEST_RENEWAL_SECONDS), self.renew
        )
        yield Repeat(ACKNOWLEDGED_AFTER_SECONDS, self.acknowledge)
        while True:
            yield from self._patience.outlast(self._turn_page)
            if (yield from self._give_page()):
                return
            yield from self._patience.outlast(self.acknowledge)

    def _give_page(self) -> Reading[bool]:
        """Give what is held; return whether the caller has left."""
        for place, (_, fields) in enumerate(self._page.entries):
            if place and self._now() >= self._page.fresh_until:
                # Others may have taken over what is left.
                self._resumes = True
                break
            # Without fields it was trimmed away: there is nothing left to give.
            if fields and (yield Given(read_entry(fields))):
                # What cannot be acknowledged any more comes again.
                with suppress(Exception):
                    yield from self.acknowledge()
                return True
            self._page.done = place + 1
            if self._now() >= self._acknowledge_at:
                yield from self._patience.outlast(self.acknowledge)
        return False

    def _make_group(self) -> Commands[None]:
        try:
            yield "XGROUP CREATE", OUTCOMES, self._group, "0", "MKSTREAM"
        except Exception as error:
            # It is there.
            if "BUSYGROUP" not in str(error):
                raise

    def _turn_page(self) -> Commands[None]:
        """Hold what there is next, if there is anything."""
        self._page = NOTHING
        # Should this fail, a reply may be lost on its way, and with it the knowledge of one's own.
        resumes, self._resumes = self._resumes, True
        try:
            if resumes or (yield from self._take_over()):
                self._page = yield from self._read("0")
            # There may be more than a page of one's own.
            resumes = bool(self._page.entries)
            if not resumes:
                self._page = yield from self._read_new()
            self._resumes = resumes
        except Exception as error:
            if "NOGROUP" not in str(error):
                raise
            logger().warning("the group %s is gone, and made anew at the beginning", self._group)
            yield from self._make_group()

    def _read(self, since: str, count: int = ENTRIES_PER_READ) -> Commands[Page]:
        fresh_until = self._now() + self._claim_after_seconds
        block = ("BLOCK", int(BLOCK_SECONDS * 1000)) if since == ">" else ()
        reply = yield self._reading(since, count, *block)
        return Page(entries_of(reply), fresh_until)

    def _reading(self, since: str, count: int = ENTRIES_PER_READ, *block: Any) -> tuple[Any, ...]:
        return (
            *("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", count, *block),
            *("STREAMS", OUTCOMES, since),
        )

    def _read_new(self) -> Commands[Page]:
        """Read what is new, and see what was trimmed before it could be.

        At one moment: once it is read, nothing says that something was missing before it.
        """
        page, gone = (yield from self._look_and_read()) if self._may_look else (NOTHING, 0)
        if not page.entries:
            page = yield from self._read(">")
        if page.entries and gone != 0:
            self._on_gone(gone)
        return page

    def _look_and_read(self) -> Commands[tuple[Page, int | None]]:
        fresh_until = self._now() + self._claim_after_seconds
        try:
            stream, groups, reply = yield Together((*LOOK, self._reading(">")))
        except Exception as error:
            if "NoPermissionError" not in type(error).__name__:
                raise
            self._may_look = False
            logger().warning("what is trimmed before it is read will not be noticed: %s", error)
            # Some of it may have been done, and read.
            return (yield from self._read("0")), 0
        if isinstance(reply, Exception):
            raise reply
        group = find_group(groups, self._group)
        gone = standing_of(stream, group).gone if group else 0
        return Page(entries_of(reply), fresh_until), gone

    def _log_gone(self, count: int | None) -> None:
        what = "outcomes may be" if count is None else f"{count:,} outcomes are"
        logger().error(
            "%s gone: trimmed from the stream before the group %s had read them",
            *(what, self._group),
        )

    def _take_over(self) -> Commands[bool]:
        """Make what others have left one's own, some at a time; return whether there was any."""
        while self._now() >= self._claim_at:
            # Without what is in them: trimmed ones have nothing, on Redis 6.2 not even an id.
            self._cursor, ids, *_ = yield (
                *("XAUTOCLAIM", OUTCOMES, self._group, self._consumer),
                *(int(self._claim_after_seconds * 1000), self._cursor),
                *("COUNT", ENTRIES_PER_READ, "JUSTID"),
            )
            if ids:
                return True
            if self._cursor == NOBODYS:
                self._claim_at = self._now() + self._claim_after_seconds
                break
        return False

    def acknowledge(self) -> Commands[None]:
        """Acknowledge what was handled; a second time does no harm."""
        page, began = self._page, self._now()
        done = page.done
        if handled := page.entries[page.acknowledged : done]:
            yield "XACK", OUTCOMES, self._group, *(entry_id for entry_id, _ in handled)
            page.acknowledged, now = done, self._now()
            self._acknowledge_at = now + BETWEEN_ACKNOWLEDGEMENTS * (now - began)

    def renew(self) -> Commands[None]:
        """Keep what is held from being taken over: reading it again says that it is in hand."""
        page = self._page
        if held := page.held:
            renewed = yield from self._read(_before(held[0][0]), len(held))
            ids = {entry[0] for entry in renewed.entries}
            is_whole = all(entry_id in ids for entry_id, _ in page.held)
            page.fresh_until = renewed.fresh_until if is_whole else 0.0


def _before(id_: str) -> str:
    """Return the id before one."""
    milliseconds, _, sequence = id_.partition("-")
    if int(sequence):
        return f"{milliseconds}-{int(sequence) - 1}"
    return f"{int(milliseconds) - 1}-{2**64 - 1}" if int(milliseconds) else "0-0"
