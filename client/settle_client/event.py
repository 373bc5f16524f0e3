"""An event as outsiders see it: the attributes that are documented, in their order.

The one definition of it, for the service that shows events and for whoever reads
them. Nothing here shows or reads one.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType

from settle_client.moments import Moment, with_moments, with_timestamps
from settle_client.outcome import Problem, encode_json


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """An event, pending or settled."""

    account_id: Annotated[str, Meta(description="Whose event it is.", examples=["acct_9"])]
    completed_at: Annotated[Moment | None, Meta(description="When it was completed, if it was.")]
    created_at: Annotated[Moment, Meta(description="When it was created.")]
    event_type: Annotated[str, Meta(description="What happened.", examples=["order.created"])]
    failed_at: Annotated[Moment | None, Meta(description="When it failed, if it did.")]
    id: Annotated[str, Meta(description="Which event it is.", examples=["ev_1"])]
    payload: Annotated[
        Any, Meta(description="What its producer put into it.", examples=[{"total": 1250}])
    ]

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Read what `to_json` wrote; a time that Python cannot hold is the text that it is.

        Raises:
            ValueError: It is something else; the text names the field.
        """
        event: Self = _with_moments(msgspec.json.decode(text, type=cls))
        return event

    def to_json(self) -> bytes:
        """Write it as the JSON object that clients get, its times as an outcome has them."""
        return encode_json(_with_timestamps(self))


class CreatedEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What became of an event to create: the event as it is now, or why it is not there."""

    id: Annotated[str, Meta(description="Which event it is.", examples=["ev_1"])]
    created: Annotated[
        bool,
        Meta(description="Whether this request has created it. False too where it was there."),
    ]
    account_id: Annotated[str | None, Meta(description="Whose event it is.")]
    event_type: Annotated[str | None, Meta(description="What happened.")]
    created_at: Annotated[Moment | None, Meta(description="When it was created.")]
    completed_at: Annotated[Moment | None, Meta(description="When it was completed, if it was.")]
    failed_at: Annotated[Moment | None, Meta(description="When it failed, if it did.")]
    payload: Annotated[Any, Meta(description="What its producer put into it.")]
    error: Annotated[
        Problem | UnsetType,
        Meta(description="With `statusCode` 409: an event of this id has other content."),
    ] = UNSET

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is something else; the text names the field.
        """
        created: Self = _with_moments_of_created(msgspec.json.decode(text, type=cls))
        return created

    def to_json(self) -> bytes:
        """Write it as the JSON object that clients get, its times as an outcome has them."""
        return encode_json(_with_timestamps_of_created(self))


_with_moments: Any = with_moments(Event)
_with_timestamps = with_timestamps(Event)
_with_moments_of_created: Any = with_moments(CreatedEvent)
_with_timestamps_of_created = with_timestamps(CreatedEvent)
