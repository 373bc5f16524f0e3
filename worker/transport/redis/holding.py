"""What a consumer asks of its channel for messages that it holds, many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager


class Holding:
    """The part of a channel that hands on to what keeps the books; mixed into kombu's."""

    qos: Any

    def ack_many(self, tags: Iterable[str]) -> None:
        """Acknowledge messages, by their delivery tags, in one round trip."""
        self.qos.ack_many(tags)

    def give_back(self, tags: Iterable[str], *, died: bool = False) -> None:
        """Put messages back into their queues, at the end that is fetched first.

        Args:
            tags: Their delivery tags.
            died: Whether who worked on them died of it, perhaps; that is counted.
        """
        self.qos.give_back(tags, died=died)

    def begin(self, tags: Sequence[str]) -> AbstractContextManager[None]:
        """Note that the work on messages begins, and return what to hand them over in."""
        begun: AbstractContextManager[None] = self.qos.begin(tags)
        return begun

    def pause(self, tags: Sequence[str]) -> None:
        """Note that nobody works on messages for a while, which is not their fault."""
        self.qos.pause(tags)

    def resume(self, tags: Sequence[str]) -> None:
        """Note that they are worked on again."""
        self.qos.resume(tags)

    def park(self, tag: str) -> None:
        """Hold a message for as long as it takes: it waits for its time, nobody works on it."""
        self.qos.park(tag)

    def unpark(self, tag: str) -> None:
        """Take up the work on a parked message."""
        self.qos.parked.discard(tag)
