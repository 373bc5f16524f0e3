"""Ids that a Celery client was given as UUIDs.

kombu's JSON marks what JSON has no type for, so that it comes out as it went in. An id
is a text here; no other field is looked at.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

IDS = {"id", "accountId"}
_DIGITS = re.compile("[0-9a-f]{32}")


def with_ids_as_text(update: Any) -> Any:
    """Return an update whose ids are text, where they are UUIDs."""
    if not isinstance(update, dict):
        return update
    return {**update, **{name: id_as_text(update[name]) for name in IDS & update.keys()}}


def id_as_text(value: Any) -> Any:
    """Return the text of a UUID, decoded or still marked as one; anything else as it is."""
    match value:
        case UUID():
            return str(value)
        # Its other fields differ from version to version of kombu.
        case {"__type__": "uuid", "__value__": {"hex": str(digits)}} if _DIGITS.fullmatch(digits):
            return str(UUID(digits))
    return value
