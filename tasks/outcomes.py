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
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec
import redis
from msgspec import UNSET, UnsetType

from tasks.errors import OutcomesNotPublishedError
from tasks.names import DEAD_LETTERS, OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Sequence

Reason = Literal["already_completed", "already_failed", "not_found", "invalid"]

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
    """Why an update is not valid, in the form that every error has."""

    error: str
    message: str
    status_code: int


class Outcome(msgspec.Struct, frozen=True, rename="camel"):
    """What became of one update.

    `payload` and `error` are in it only where they were given. Nothing is checked
    when one is made: a worker makes each from a row (docs/adr/0009-msgspec.md).
    """

    id: str | None
    updated: bool
    status: str | None
    reason: Reason | None
    message_id: str | None
    account_id: str | None
    event_type: str | None
    created_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    payload: Any = UNSET
    error: Problem | UnsetType = UNSET

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is something else; the text names the field.
        """
        return msgspec.json.decode(text, type=cls)

    def to_json(self) -> bytes:
        """Write it as the JSON object that consumers get."""
        return encode_json(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Write it as the same object, for a Celery result or an HTTP response."""
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
