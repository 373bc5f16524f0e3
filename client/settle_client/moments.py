"""Points in time as outsiders see them: RFC 3339 in UTC, always with microseconds.

msgspec leaves microseconds out where they are zero, so what has times in it is
copied with texts in their place before it is written, unless they are texts: a worker has
them as texts. A time that Python cannot hold is a text from the beginning, as PostgreSQL
writes it, and is neither read nor changed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from collections.abc import Callable

TEXTS = {str, type(None)}
# Before the year 1, after the year 9999, or never.
FAR = r"^-?infinity$|^[0-9]{5,6}-| BC$"

_DESCRIPTION = Meta(
    description="In UTC, with microseconds. A time before the year 1 or after 9999, "
    "or that is infinite, is as PostgreSQL writes it.",
    examples=["2026-11-23T09:00:00.000000Z"],
    extra_json_schema={"anyOf": [{"format": "date-time"}, {"pattern": FAR}]},
)

if TYPE_CHECKING:
    Moment = datetime | str
else:
    # As msgspec reads and describes it: it knows no union of these two.
    Moment = Annotated[str, _DESCRIPTION]

Kind = TypeVar("Kind", bound=msgspec.Struct)


# A batch has one time of completion, and events come in bursts.
@lru_cache(maxsize=4_096)
def timestamp(moment: datetime | str) -> str:
    """Write a point in time as RFC 3339 in UTC, always with microseconds."""
    if isinstance(moment, str):
        return moment
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def read_moment(text: str) -> datetime | str:
    """Read what `timestamp` wrote."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment if moment.tzinfo else text


def with_timestamps(kind: type[msgspec.Struct]) -> Callable[[msgspec.Struct], msgspec.Struct]:
    """Return what copies a struct of a kind, its times written as texts, if they are not texts."""
    fields = msgspec.structs.fields(kind)
    moments = attrgetter(*(field.name for field in fields if _has_moment(field.type)))
    written = msgspec.defstruct(
        kind.__name__,
        [(field.name, Any) for field in fields],
        rename={field.name: field.encode_name for field in fields},
    )
    changed = _with_moments_changed(kind, written, timestamp)

    def copy(struct: msgspec.Struct) -> msgspec.Struct:
        return struct if TEXTS.issuperset(map(type, moments(struct))) else changed(struct)

    return copy


def with_moments(kind: type[Kind]) -> Callable[[Kind], Kind]:
    """Return what copies a struct of a kind, the texts of its times read."""
    names = [field.name for field in msgspec.structs.fields(kind)]

    def into(*values: Any) -> Kind:
        return kind(**dict(zip(names, values, strict=True)))

    return _with_moments_changed(kind, into, read_moment)


def _with_moments_changed(
    kind: type[msgspec.Struct], into: Callable[..., Any], change: Callable[[Any], Any]
) -> Callable[[msgspec.Struct], Any]:
    fields = msgspec.structs.fields(kind)
    places = [place for place, field in enumerate(fields) if _has_moment(field.type)]
    take = msgspec.structs.astuple

    def copy(struct: msgspec.Struct) -> Any:
        values = [*take(struct)]
        for place in places:
            if values[place] is not None:
                values[place] = change(values[place])
        return into(*values)

    return copy


def _has_moment(annotation: Any) -> bool:
    if _DESCRIPTION in getattr(annotation, "__metadata__", ()):
        return True
    return any(map(_has_moment, get_args(annotation)))
