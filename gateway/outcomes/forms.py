"""In which form an outcome is given: as it is, or as a CloudEvent whose data it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.outcomes import terms
from service.cloud_events import cloud_event
from service.entries import Head

if TYPE_CHECKING:
    from gateway.outcomes.stream import Entry


def written(entry: Entry, form: str) -> bytes:
    """Write an outcome in a form, on one line."""
    if form != terms.CLOUD_EVENTS:
        return entry.text
    head = Head(id=entry.event_id, message_id=entry.message_id, index=entry.update_index)
    return cloud_event(head, entry.text.decode(), str(entry.position)).encode()
