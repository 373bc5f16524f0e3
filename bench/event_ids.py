"""What events are called: the same in the table and in what is sent."""

from __future__ import annotations


def event_id(number: int) -> str:
    """Return the id of the n-th event."""
    return f"evt_{number:09}"
