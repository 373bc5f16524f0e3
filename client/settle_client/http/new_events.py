"""Events to create, written as the JSON that is sent; what JSON cannot say is refused by its place.

A gateway checks the rest, and names the field. It cannot see what was changed on the way, as a
number that is none would be to null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from settle_client.errors import InvalidUpdateError
from settle_client.event import Event
from settle_client.moments import timestamp
from settle_client.outcome import encode_json

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_events(events: Sequence[Event | Mapping[str, Any]]) -> bytes:
    """Write events.

    Raises:
        InvalidUpdateError: One cannot be written; the text names its place.
    """
    return b"[%b]" % b",".join(_write(f"[{number}]", one) for number, one in enumerate(events))


def _write(place: str, event: Any) -> bytes:
    if isinstance(event, Event):
        given: dict[str, Any] = {"payload": event.payload}
    elif isinstance(event, Mapping):
        given = {
            name: written_time(f"{place}.{name}", value) if isinstance(value, datetime) else value
            for name, value in event.items()
        }
    else:
        raise InvalidUpdateError(f"{place}: must be an Event or a mapping")
    if _has_no_number(given):
        raise InvalidUpdateError(f"{place}: has a number that JSON cannot say, NaN or infinite")
    try:
        return event.to_json() if isinstance(event, Event) else encode_json(given)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise InvalidUpdateError(f"{place}: cannot be written as JSON: {error}") from error


def written_time(name: str, moment: datetime) -> str:
    """Write a time.

    Raises:
        InvalidUpdateError: It does not say in which time zone it is.
    """
    if moment.tzinfo is None:
        raise InvalidUpdateError(f"{name}: must be a time with its zone, got {moment!r}")
    return timestamp(moment)


def _has_no_number(value: Any) -> bool:
    """Return whether there is a number in it that is none, however deep."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, float) and not math.isfinite(one):
            return True
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
    return False
