"""What goes out: one outcome per update, and the result channel it goes to.

The channel is a Pub/Sub channel for whoever listens now and a stream of the
same name for whoever comes later. Publishing again after a crash is safe: the
repeated outcomes say the same. Reading is in `tasks.outcome_client`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import msgspec
import redis
from msgspec import UNSET, Meta, Raw, UnsetType

from tasks.errors import OutcomesNotPublishedError
from tasks.names import DEAD_LETTERS, OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Sequence

Reason = Literal["already_completed", "already_failed", "not_found", "invalid"]
Moment = Annotated[
    datetime,
    Meta(
        description="In UTC, with microseconds.",
        examples=["2026-11-23T09:00:00.000000Z"],
        extra_json_schema={"format": "date-time"},
    ),
]

# Python says it as RFC 9110 does from 3.13 on.
_WORDS = {413: "Content Too Large"}

# One call of the script blocks the server for a few milliseconds at most.
OUTCOMES_PER_CALL = 1_000

PUBLISH_OUTCOMES = """
local stream, max_length = KEYS[1], ARGV[1]
for i = 2, #ARGV do
  redis.call('XADD', stream, 'MAXLEN', '~', max_length, '*', 'outcome', ARGV[i])
  redis.call('PUBLISH', stream, ARGV[i])
end
"""


encode_json = msgspec.json.Encoder().encode


# A batch has one time of completion, and events come in bursts.
@lru_cache(maxsize=4_096)
def timestamp(moment: datetime) -> str:
    """Write a point in time as RFC 3339 in UTC, always with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


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


class Outcome(msgspec.Struct, frozen=True, rename="camel"):
    """What became of one update.

    `payload` and `error` are in it only where they were given, the payload of a row as
    the text that it is. Nothing is checked when one is made: a worker makes each from
    a row (docs/adr/0009-msgspec.md).
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
        Annotated[Reason, Meta(title="Reason")] | None,
        Meta(description="Why the event was not updated; null if it was."),
    ]
    message_id: Annotated[
        str | None,
        Meta(
            description="Of the message that carried the update. "
            "A repeated outcome has the same `messageId` and `id`, and says the same.",
            examples=["5f0c9a52-6a5b-4f0e-9d5c-2f6f1b0d7a11"],
        ),
    ]
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
        Any, Meta(description="The event's payload, where it is told.", examples=[{"total": 1250}])
    ] = UNSET
    error: Annotated[
        Problem | UnsetType, Meta(description="What is wrong with an update that is invalid.")
    ] = UNSET

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is something else; the text names the field.
        """
        return msgspec.json.decode(text, type=cls)

    def without_payload(self) -> Self:
        """Return it as the channel has it, unless a setting adds the payload."""
        return msgspec.structs.replace(self, payload=UNSET)

    def to_json(self) -> bytes:
        """Write it as the JSON object that consumers get."""
        return encode_json(self._told())

    def to_dict(self) -> dict[str, Any]:
        """Write it as the same object in Python's types, for a Celery result.

        A payload that these cannot hold (nested too deeply, a number of thousands of
        digits) is the text that it is.
        """
        told = self._told()
        if isinstance(self.payload, Raw):
            text = bytes(self.payload)
            try:
                told["payload"] = json.loads(text)
            except (ValueError, RecursionError):
                told["payload"] = text.decode()
        return told

    def _told(self) -> dict[str, Any]:
        told = {
            "id": self.id,
            "updated": self.updated,
            "status": self.status,
            "reason": self.reason,
            "messageId": self.message_id,
            "accountId": self.account_id,
            "eventType": self.event_type,
            "createdAt": self.created_at and timestamp(self.created_at),
            "completedAt": self.completed_at and timestamp(self.completed_at),
            "failedAt": self.failed_at and timestamp(self.failed_at),
        }
        if self.payload is not UNSET:
            told["payload"] = self.payload
        if self.error is not UNSET:
            told["error"] = msgspec.to_builtins(self.error)
        return told


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Something that could not be applied, kept for a person to look at.

    `raw` is the whole message, or the one update of it that is not valid.
    """

    message_id: str | None
    reason: str
    raw: str
    delivery: dict[str, Any]


class OutcomePublisher:
    """The writing end of the result channel, for one process."""

    def __init__(self, client: redis.Redis, *, stream_max_length: int) -> None:
        """Write through a client.

        Args:
            client: Of the Redis that holds the result channel.
            stream_max_length: Entries the stream is trimmed to, approximately.
        """
        self._client = client
        self._stream_max_length = stream_max_length
        self._publish = client.register_script(PUBLISH_OUTCOMES)

    def publish(self, outcomes: Sequence[Outcome], dead_letters: Sequence[DeadLetter] = ()) -> None:
        """Publish outcomes in order, after the dead letters that belong to them.

        Raises:
            OutcomesNotPublishedError: Some may have been published, not all;
                publish the same again.
        """
        texts = [outcome.to_json() for outcome in outcomes]
        try:
            for letter in dead_letters:
                self._client.xadd(DEAD_LETTERS, _entry(letter))
            for start in range(0, len(texts), OUTCOMES_PER_CALL):
                chunk = texts[start : start + OUTCOMES_PER_CALL]
                self._publish(keys=[OUTCOMES], args=[self._stream_max_length, *chunk])
        except redis.RedisError as error:
            raise OutcomesNotPublishedError(f"{type(error).__name__}: {error}") from error

    def check(self) -> None:
        """See that the channel answers.

        Raises:
            OutcomesNotPublishedError: It does not.
        """
        try:
            self._client.ping()
        except redis.RedisError as error:
            raise OutcomesNotPublishedError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _entry(letter: DeadLetter) -> dict[Any, Any]:
    return {
        "messageId": letter.message_id or "",
        "reason": letter.reason,
        "time": timestamp(datetime.now(UTC)),
        "delivery": json.dumps(letter.delivery),
        "raw": letter.raw,
    }
