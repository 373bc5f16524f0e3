"""One fetch: what is asked of Redis, and what the answer brings.

Pure: makes commands and reads replies, and knows no connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from worker.transport.redis.items import headers_of, read_stock
from worker.transport.redis.scripts import FETCH, MORE, NOTHING, SUSPECTS

if TYPE_CHECKING:
    from worker.transport.delivery import Stock

# How long to wait on one list where there are several, or where waiting is no use.
BRIEFLY_SECONDS = 0.05


class Source(NamedTuple):
    """A list to fetch from; what is taken from it is recorded if it has a tail."""

    list: str
    queue: str
    tail: str


class Fetched(NamedTuple):
    """What came.

    Attributes:
        source: Where it lay.
        tag: By which it is acknowledged, '' if it was not recorded.
        item: As it lay there, or the beginning of what is too large for a message.
        byte_count: How large it was there.
    """

    source: Source
    tag: str
    item: bytes
    byte_count: int

    def headers(self) -> dict[str, Any]:
        """Return its headers, empty if they are none."""
        return headers_of(self.item)

    def to_message(self, channel: Any) -> Any:
        """Return it as a `kombu.Message`, None if the channel sets it aside."""
        return channel.understand(self)

    def read(self, *, shown: bool) -> Stock | None:
        """Take it apart, None if it is not what a stock client pushes.

        Args:
            shown: Whether monitors want to show it.
        """
        return read_stock(self.item, shown=shown)


@dataclass(slots=True)
class Fetch:
    """A fetch under way.

    Attributes:
        suspects: The lists of messages that are fetched alone.
        ready: The lists of the queues, in the order in which they are emptied.
        tag_prefix: What the tags of this fetch begin with.
        waits: Whether the reply to a wait comes first.
    """

    suspects: list[Source]
    ready: list[Source]
    tag_prefix: str
    waits: bool = False

    @property
    def lists(self) -> list[str]:
        """Return the names of all lists, in the order in which the script knows them."""
        return [source.list for source in (*self.suspects, *self.ready)]

    def args(self, limit: int, *, busy: bool) -> list[Any]:
        """Return the arguments of the script."""
        tails = [source.tail for source in (*self.suspects, *self.ready)]
        return [limit, self.tag_prefix, int(busy), len(self.suspects), *tails]

    def read(self, reply: list[Any]) -> list[Fetched]:
        """Return what a reply brings."""
        sources = [*self.suspects, *self.ready]
        came: list[Fetched] = []
        for number, items, cut in zip(reply[1::3], reply[2::3], reply[3::3], strict=True):
            source, first = sources[number - 1], len(came) + 1
            prefix = self.tag_prefix if source.tail else ""
            came += [
                Fetched(source, prefix and f"{prefix}{n}", item, len(item))
                for n, item in enumerate(items, first)
            ]
            for index, size in zip(cut[::2], cut[1::2], strict=True):
                at = first + index - 2
                came[at] = came[at]._replace(byte_count=size)
        return came


def script_command(keys: list[str], args: list[Any], *, cached: bool) -> list[Any]:
    """Return the command that fetches; the first time with the script itself."""
    name = ("EVALSHA", FETCH.sha) if cached else ("EVAL", FETCH.text)
    return [*name, len(keys), *keys, *args]


@dataclass(slots=True)
class Pace:
    """Whether the next fetch waits, and for what.

    Attributes:
        more_waiting: Whether the last fetch left messages at the broker.
        pause: Whether the next wait is a pause: there is something, but it may
            not be had now, or Redis refuses to wait for a list.
    """

    more_waiting: bool = False
    pause: bool = False
    _fetch_at_once: bool = False

    def after(self, state: int, *, found: bool, cached: bool) -> None:
        """Learn from a reply."""
        self.more_waiting = state == MORE
        self._fetch_at_once = self.more_waiting or not cached or (state == SUSPECTS and found)
        self.pause |= state == SUSPECTS and not found

    def wait_command(self, lists: list[str], pause: str, timeout: float) -> list[Any]:
        """Return what blocks until there is something, and changes nothing."""
        if self._fetch_at_once:
            return []
        if self.pause:
            self.pause = False
            return ["BRPOP", pause, BRIEFLY_SECONDS]
        first, *others = lists
        return ["BLMOVE", first, first, "RIGHT", "RIGHT", BRIEFLY_SECONDS if others else timeout]


def empty_reply() -> list[Any]:
    """Return the reply of a fetch that found nothing."""
    return [NOTHING]
