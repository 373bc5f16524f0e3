"""Items of a queue in Redis, as a worker's fetch brings them."""

from __future__ import annotations

from worker.transport.redis.fetch import Fetched, Source


def fetched(item: str | bytes, tag: str = "tag") -> Fetched:
    """Return an item as if it had been fetched."""
    raw = item.encode() if isinstance(item, str) else item
    return Fetched(Source("q", "q", "tail"), tag, raw, len(raw))
