"""Which acknowledgements say that some messages are done, in the fewest frames.

AMQP numbers the deliveries of a channel, and can acknowledge everything up to a
number at once. That is right only where all of it is done. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Outstanding:
    """The deliveries of one channel that nobody has answered yet."""

    def __init__(self) -> None:
        self._tags: dict[int, None] = {}
        self._last = 0

    def add(self, tag: int) -> None:
        """Account for a delivery; tags come in ascending order, each one more than the last.

        One that is missing came, and was not accounted for: it stays open, and no
        acknowledgement stands for it.
        """
        self._tags.update(dict.fromkeys(range(self._last + 1, tag)))
        self._tags[tag] = None
        self._last = max(self._last, tag)

    def forget(self, tags: Iterable[int]) -> None:
        """Account for deliveries that were answered in another way."""
        for tag in tags:
            self._tags.pop(tag, None)

    def done(self, tags: Iterable[int]) -> list[tuple[int, bool]]:
        """Return how to acknowledge deliveries, and forget them.

        Returns:
            Pairs of a tag and whether it stands for all that came before it.
        """
        wanted = dict.fromkeys(tag for tag in tags if tag in self._tags)
        head = []
        for tag in self._tags:
            if tag not in wanted:
                break
            head.append(tag)
        self.forget(wanted)
        rest = [(tag, False) for tag in wanted if not head or tag > head[-1]]
        return [(head[-1], len(head) > 1), *rest] if head else rest
