"""How far a consumer group is in the stream, and how much was trimmed before it could read it.

From what the server says of both. Redis counts what was added and what was read from
version 7 on; before, it can only be known whether there may be a gap, and not at all for
a group that has read nothing yet. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

BEGINNING = "0-0"


class Standing(NamedTuple):
    """What a group has before it; None where that cannot be known.

    Attributes:
        unread: Entries that it can read and has not.
        gone: Entries that it can never read: they went before it had.
    """

    unread: int | None
    gone: int | None


def standing_of(stream: Mapping[str, Any], group: Mapping[str, Any]) -> Standing:
    """Return the standing of a group.

    Args:
        stream: What XINFO STREAM says.
        group: What XINFO GROUPS says of it.
    """
    length, last = stream["length"], group["last-delivered-id"]
    first = stream["first-entry"]
    if first and not _is_before(last, first[0]):
        lag = group.get("lag")
        # Asked a moment later than the stream, which may have grown.
        return Standing(None if lag is None else min(lag, length), 0)
    if last == stream["last-generated-id"]:
        return Standing(0, 0)
    added, read = stream.get("entries-added"), group.get("entries-read")
    if last == BEGINNING:
        # Where nothing is counted, what went before there was a group would always be missed.
        read, added = 0, length if added is None else added
    if added is None or read is None:
        return Standing(length, None)
    return Standing(length, max(0, added - read - length))


def find_group(groups: Any, name: str) -> Mapping[str, Any] | None:
    """Return what XINFO GROUPS says of one."""
    return next((group for group in groups if group["name"] == name), None)


def _is_before(one: str, other: str) -> bool:
    return _order(one) < _order(other)


def _order(id_: str) -> tuple[int, int]:
    milliseconds, _, sequence = id_.partition("-")
    return int(milliseconds), int(sequence or 0)
