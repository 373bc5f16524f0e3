"""What an entry of the stream of outcomes says, as far as it decides who gets it.

Its text goes out as it came. Nothing in an entry stops who reads it.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import msgspec

from settle_client.salvage import UnreadOutcome, read_outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Head(msgspec.Struct, rename="camel"):
    """Of which update of which event it is the outcome; what it does not say is None."""

    id: str | None = None
    account_id: str | None = None
    message_id: str | None = None
    reason: str | None = None
    index: int | None = None


class PageSize:
    """How many entries to read at once, so that they are not too many bytes."""

    def __init__(self, most: int, most_bytes: int) -> None:
        """Begin with few.

        Args:
            most: However small they are.
            most_bytes: Approximately, by those that were read last.
        """
        self._most, self._most_bytes = most, most_bytes
        self.entries = min(most, 10)

    def learn(self, sizes: Iterable[int]) -> None:
        """Learn how large some were."""
        sizes = list(sizes)
        if sizes:
            fitting = math.ceil(self._most_bytes * len(sizes) / max(sum(sizes), 1))
            self.entries = min(fitting, self._most)


_decode = msgspec.json.Decoder(Head).decode


def read_head(fields: Mapping[str, str]) -> tuple[Head, str]:
    """Read an entry.

    Returns:
        What it says, and its text: JSON on one line, whatever came.
    """
    text = fields.get("outcome", "")
    try:
        head = _decode(text)
    except (ValueError, RecursionError):
        head, text = _salvage(text or json.dumps(dict(fields)))
    # Between the values of a JSON text a line break is a space, and within one there is none.
    return head, text.replace("\n", " ").replace("\r", " ")


def _salvage(text: str) -> tuple[Head, str]:
    """Read what is no outcome as this version knows them; what is not JSON becomes a string."""
    found = read_outcome(text)
    if isinstance(found, UnreadOutcome):
        try:
            msgspec.json.decode(text)
        except (ValueError, RecursionError):
            text = json.dumps(text)
    head = Head(found.id, found.account_id, found.message_id, found.reason, found.index)
    return head, text
