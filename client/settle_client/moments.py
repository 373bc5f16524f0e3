"""Points in time as outsiders see them: RFC 3339 in UTC, always with microseconds.

msgspec leaves microseconds out where they are zero, so what has times in it is
copied with texts in their place before it is written.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, get_args

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from collections.abc import Callable

Moment = Annotated[
    datetime,
    Meta(
        description="In UTC, with microseconds.",
        examples=["2026-11-23T09:00:00.000000Z"],
        extra_json_schema={"format": "date-time"},
    ),
]


# A batch has one time of completion, and events come in bursts.
@lru_cache(maxsize=4_096)
def timestamp(moment: datetime) -> str:
    """Write a point in time as RFC 3339 in UTC, always with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def with_timestamps(kind: type[msgspec.Struct]) -> Callable[[msgspec.Struct], msgspec.Struct]:
    """Return what copies a struct of a kind, its times written as texts."""
    fields = msgspec.structs.fields(kind)
    places = [place for place, field in enumerate(fields) if _has_moment(field.type)]
    written = msgspec.defstruct(
        kind.__name__,
        [(field.name, Any) for field in fields],
        rename={field.name: field.encode_name for field in fields},
    )
    take = msgspec.structs.astuple

    def copy(struct: msgspec.Struct) -> msgspec.Struct:
        values = [*take(struct)]
        for place in places:
            if values[place] is not None:
                values[place] = timestamp(values[place])
        return written(*values)

    return copy


def _has_moment(annotation: Any) -> bool:
    return annotation is datetime or any(map(_has_moment, get_args(annotation)))
