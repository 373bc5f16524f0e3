"""An outcome: what became of one update, as consumers get it.

The one definition of it, for the service that publishes outcomes and for whoever reads
them. Nothing here publishes or reads one.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated, Any, Literal, Self, get_args

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from settle_client.moments import Moment, with_moments, with_timestamps

Reason = Literal["already_completed", "already_failed", "not_found", "refused", "invalid"]

# Python says it as RFC 9110 does from 3.13 on.
_WORDS = {413: "Content Too Large"}

encode_json = msgspec.json.Encoder().encode


class Problem(msgspec.Struct, frozen=True, rename="camel"):
    """What is wrong, in the form that every error has."""

    error: Annotated[str, Meta(description="The status code in words.", examples=["Bad Request"])]
    message: Annotated[
        str,
        Meta(
            description="What is wrong, and what it should be.",
            examples=["status: must be 'completed' or 'failed', got 'done'"],
        ),
    ]
    status_code: Annotated[int, Meta(description="As HTTP has it.", examples=[400])]

    @classmethod
    def of(cls, status_code: int, message: str) -> Self:
        """Make the error of an HTTP status, in the words of RFC 9110."""
        words = _WORDS.get(status_code) or HTTPStatus(status_code).phrase
        return cls(error=words, message=message, status_code=status_code)


class Outcome(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of one update.

    `payload` and `error` are in it only where they were given, the payload of a row as
    the text that it is. `index` is None where an older worker wrote it. Nothing is
    checked when one is made: a worker makes each from a row (docs/adr/0009-msgspec.md).
    """

    id: Annotated[
        str | None,
        Meta(description="The event's id; null if none could be read.", examples=["ev_1"]),
    ]
    updated: Annotated[bool, Meta(description="Whether this message settled the event.")]
    status: Annotated[
        str | None,
        Meta(description="What was asked for: `completed` or `failed`, if the update is valid."),
    ]
    reason: Annotated[
        # Read as any text: a service that is newer than its reader may know another.
        Annotated[str, Meta(title="Reason", extra_json_schema={"enum": list(get_args(Reason))})]
        | None,
        Meta(description="Why the event was not updated; null if it was."),
    ]
    message_id: Annotated[
        str | None,
        Meta(
            description="Of the message that carried the update. "
            "A repeated outcome has the same `messageId` and `index`, and says the same.",
            examples=["5f0c9a52-6a5b-4f0e-9d5c-2f6f1b0d7a11"],
        ),
    ]
    index: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="The update's position in its message, from 0.", examples=[0]),
    ] = None
    account_id: Annotated[
        str | None,
        Meta(description="The event's account; null if it was not found.", examples=["acct_9"]),
    ]
    event_type: Annotated[
        str | None, Meta(description="The event's type.", examples=["order.created"])
    ]
    created_at: Annotated[Moment | None, Meta(description="When the event was created.")]
    completed_at: Annotated[Moment | None, Meta(description="When it was completed, if it was.")]
    failed_at: Annotated[Moment | None, Meta(description="When it failed, if it did.")]
    payload: Annotated[
        Any,
        Meta(description="The event's payload, where it is asked for.", examples=[{"total": 1250}]),
    ] = UNSET
    error: Annotated[
        Problem | UnsetType,
        Meta(description="What is wrong with an update that is invalid, or why it was refused."),
    ] = UNSET

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Read what `to_json` wrote; a time that Python cannot hold is the text that it is.

        Raises:
            ValueError: It is something else; the text names the field.
        """
        outcome: Self = _with_moments(msgspec.json.decode(text, type=cls))
        return outcome

    def without_payload(self) -> Self:
        """Return it as the channel has it, unless a setting adds the payload."""
        return msgspec.structs.replace(self, payload=UNSET)

    @property
    def identity(self) -> tuple[str | int | None, ...]:
        """Return by what it is told from others: a repeated outcome has the same.

        It is the message id with the index, or what there is in place of one.
        """
        if self.index is None:
            return self.message_id, self.id, self.status, self.reason
        return self.message_id, self.index

    def to_json(self) -> bytes:
        """Write it as the JSON object that consumers get."""
        return encode_json(_with_timestamps(self))

    def to_dict(self) -> dict[str, Any]:
        """Write it as the same object in Python's types, for a Celery result.

        A payload that these cannot hold (nested too deeply, a number of thousands of
        digits) is the text that it is.
        """
        if self.payload is not UNSET:
            return {**self.without_payload().to_dict(), "payload": _in_python(self.payload)}
        written: dict[str, Any] = msgspec.to_builtins(_with_timestamps(self))
        return written


_with_timestamps = with_timestamps(Outcome)
_with_moments: Any = with_moments(Outcome)


def _in_python(payload: Any) -> Any:
    if not isinstance(payload, Raw):
        return payload
    text = bytes(payload)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.decode()
