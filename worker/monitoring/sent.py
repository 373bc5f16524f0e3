"""When a message was sent, as its producer says; many say nothing.

A message of Celery's carries no time. Ours do, and any client's may: a header
`sent_at`, in seconds since the epoch. It is read off the raw message, and of few
of them: reading it off all would cost more than it tells.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from tasks.names import SENT_AT
from worker.transport.fetch import Fetched

if TYPE_CHECKING:
    from worker.held import Held


class _Headers(msgspec.Struct):
    sent_at: float | None = None


class _Item(msgspec.Struct):
    headers: _Headers


_decode = msgspec.json.Decoder(_Item).decode


def sent_at_of_item(item: bytes) -> float | None:
    """Return when what lies in a queue of Redis was sent, in seconds since the epoch."""
    try:
        return _sensible(_decode(item).headers.sent_at)
    except (ValueError, RecursionError):
        return None


def sent_at_of(held: Held) -> float | None:
    """Return when a held message was sent, in seconds since the epoch."""
    if type(held.delivered) is Fetched:
        return sent_at_of_item(held.delivered.item)
    headers = held.delivered.headers
    return _sensible(headers.get(SENT_AT)) if isinstance(headers, dict) else None


def _sensible(sent_at: Any) -> float | None:
    if isinstance(sent_at, bool) or not isinstance(sent_at, int | float):
        return None
    return float(sent_at) if math.isfinite(sent_at) and sent_at > 0 else None
