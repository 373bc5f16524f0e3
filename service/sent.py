"""When a message was sent, as its producer says; many say nothing.

A message of Celery's carries no time. Ours do, and any client's may: a header
`sent_at`, in seconds since the epoch. It is read off the raw message, and of few
of them: reading it off all would cost more than it tells.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec


class _Headers(msgspec.Struct):
    sent_at: float | None = None


class _Item(msgspec.Struct):
    headers: _Headers


_decode = msgspec.json.Decoder(_Item).decode


def sent_at_of_item(item: bytes) -> float | None:
    """Return when what lies in a queue of Redis was sent, in seconds since the epoch."""
    try:
        return sensible(_decode(item).headers.sent_at)
    except (ValueError, RecursionError):
        return None


def sensible(sent_at: Any) -> float | None:
    """Return a time that somebody says, None if it cannot be one."""
    if isinstance(sent_at, bool) or not isinstance(sent_at, int | float):
        return None
    return float(sent_at) if math.isfinite(sent_at) and sent_at > 0 else None
