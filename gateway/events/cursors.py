"""Cursors: places in a list, as its clients pass them on.

A cursor is for nobody to read or make. It says no more than its holder has seen, and opens
nothing: whose events there are, the key says. Its digest tells one that was cut or changed.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from db.listing import ListPosition
from settle_client.checking import explain_text

DIGEST_BYTES = 9
# Of an id of 255 characters, each of them escaped.
MAX_CHARACTERS = 5_000


def write_cursor(position: ListPosition) -> str:
    """Write a place as a cursor."""
    text = json.dumps(position, separators=(",", ":")).encode()
    return urlsafe_b64encode(_digest(text) + text).decode().rstrip("=")


def read_cursor(cursor: str) -> ListPosition | None:
    """Return the place that a cursor says, None if it is not as it was written."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        raw = urlsafe_b64decode(padded) if len(cursor) <= MAX_CHARACTERS else b""
    except ValueError:
        return None
    digest, text = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
    if digest != _digest(text) or cursor != urlsafe_b64encode(raw).decode().rstrip("="):
        return None
    try:
        created_at, id_ = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    is_place = all(isinstance(one, str) and not explain_text(one) for one in (created_at, id_))
    return ListPosition(created_at, id_) if is_place else None


def _digest(text: bytes) -> bytes:
    return sha256(b"settle list " + text).digest()[:DIGEST_BYTES]
