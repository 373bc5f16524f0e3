"""The stream of outcomes, read for those who listen: entries, and how far the stream reaches.

What an entry says is looked at as far as it decides who gets it; its text goes out as it
came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.outcomes.positions import BEGINNING, Extent, Position
from service.entries import PageSize, read_head
from settle_client.names import OUTCOMES
from settle_client.reading import entries_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service.channel import Channel

MAX_ENTRIES_PER_READ = 500
# Where payloads are large, fewer entries are read at a time.
BYTES_PER_READ = 2**18
BLOCK_SECONDS = 1.0


class Entry(NamedTuple):
    """An outcome as it lies in the stream; what it does not say is None."""

    position: Position
    event_id: str | None
    account_id: str | None
    message_id: str | None
    reason: str | None
    update_index: int | None
    text: bytes


class Page(NamedTuple):
    """Some entries behind a position, and how far the stream reached at that moment."""

    entries: list[Entry]
    extent: Extent


class Stream:
    """The stream, in its Redis."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def extent(self) -> Extent:
        """Return how far it reaches.

        Raises:
            ChannelAwayError: It cannot be asked.
        """
        return (await self.read(BEGINNING, 1)).extent

    async def read(self, after: Position, count: int = MAX_ENTRIES_PER_READ) -> Page:
        """Read what it has behind a position, and see at the same moment how far it reaches.

        Raises:
            ChannelAwayError: It cannot be read.
        """
        async with self._channel.asked() as client, client.pipeline(transaction=True) as pipe:
            pipe.execute_command("XREAD", "COUNT", count, "STREAMS", OUTCOMES, str(after))
            pipe.execute_command("XINFO STREAM", OUTCOMES)
            reply, stream = await pipe.execute(raise_on_error=False)
            if isinstance(reply, Exception):
                raise reply
            if isinstance(stream, Exception):
                if "no such key" not in str(stream):
                    raise stream
                stream = None
        return Page([_entry(*each) for each in entries_of(reply)], Extent.of(stream))

    async def wait(self, after: Position) -> None:
        """Wait for something behind a position, for a moment.

        Raises:
            ChannelAwayError: It cannot be read.
        """
        block = int(BLOCK_SECONDS * 1_000)
        async with self._channel.asked() as client:
            await client.execute_command(
                *("XREAD", "COUNT", 1, "BLOCK", block, "STREAMS", OUTCOMES, str(after))
            )


def page_size() -> PageSize:
    """Return how many entries to read at once, to begin with."""
    return PageSize(MAX_ENTRIES_PER_READ, BYTES_PER_READ)


def sizes_of(entries: Iterable[Entry]) -> Iterable[int]:
    """Return how large entries are."""
    return (len(entry.text) for entry in entries)


def _entry(id_: str, fields: dict[str, str]) -> Entry:
    head, text = read_head(fields)
    return Entry(
        *(Position.of(id_), head.id, head.account_id),
        *(head.message_id, head.reason, head.index),
        text.encode(errors="replace"),
    )
