"""The writing end of the result channel: outcomes go out, and dead letters before them.

The channel is a Pub/Sub channel for whoever listens now and a stream of the
same name for whoever comes later. Publishing again after a crash is safe: the
repeated outcomes say the same. Reading is in `settle_client.outcomes`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from settle_client.moments import timestamp
from settle_client.names import DEAD_LETTERS, OUTCOMES
from tasks.errors import OutcomesNotPublishedError
from tasks.memory_limit import write
from tasks.replicas import ReplicatedScript
from tasks.room import StreamRoom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settle_client.outcome import Outcome

# One call of the script blocks the server for a few milliseconds at most.
OUTCOMES_PER_CALL = 1_000
# More entries than there will be.
UNTRIMMED = 2**53

PUBLISH_OUTCOMES = Path(__file__).with_name("publish_outcomes.lua").read_text("utf-8")
KEEP_DEAD_LETTER = Path(__file__).with_name("keep_dead_letter.lua").read_text("utf-8")

TRY_ADDING = Path(__file__).with_name("try_adding.lua").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Something that could not be applied, kept for a person to look at.

    `raw` is the whole message, or the one update of it that is not valid; `index` is
    the update's position in its message.
    """

    message_id: str | None
    reason: str
    raw: str
    delivery: dict[str, Any]
    index: int | None = None


class OutcomePublisher:
    """The writing end of the result channel, for one process."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        stream_max_length: int,
        keep_for: Sequence[str] = (),
        letters: redis.Redis | None = None,
        min_replicas: int = 0,
    ) -> None:
        """Write through a client.

        Args:
            client: Of the Redis that holds the result channel.
            stream_max_length: Entries the stream is trimmed to, approximately.
            keep_for: Consumer groups for which it is not, until they are done with them.
            letters: For the dead letters, if that is another.
            min_replicas: How many replicas must have what counts as published.
        """
        self._client, self._letters = client, letters or client
        self._room = StreamRoom(client, keep_for, stream_max_length) if keep_for else None
        # What makes room trims; publishing does not.
        self._stream_max_length = UNTRIMMED if keep_for else stream_max_length
        self._min_replicas = min_replicas
        self._publish = self._script(client, PUBLISH_OUTCOMES)
        self._keep = self._script(self._letters, KEEP_DEAD_LETTER)

    def _script(self, client: redis.Redis, text: str) -> ReplicatedScript:
        return ReplicatedScript(client, client.register_script(text), self._min_replicas)

    def publish(self, outcomes: Sequence[Outcome], dead_letters: Sequence[DeadLetter] = ()) -> None:
        """Publish outcomes in order, after the dead letters that belong to them.

        Raises:
            OutcomesNotPublishedError: Some may have been published, not all; it says
                how many certainly were. Publish the rest.
        """
        texts = [outcome.to_json() for outcome in outcomes]
        letters = start = 0
        try:
            if self._room is not None:
                self._room.make(len(texts))
            for letter in dead_letters:
                fields = chain.from_iterable(entry_of(letter).items())
                write(self._letters, self._keep, DEAD_LETTERS, list(fields))
                letters += 1
            while start < len(texts):
                chunk = texts[start : start + OUTCOMES_PER_CALL]
                args = [self._stream_max_length, *chunk]
                write(self._client, self._publish, OUTCOMES, args)
                start += len(chunk)
        except redis.RedisError as error:
            text = f"{type(error).__name__}: {error}"
            raise OutcomesNotPublishedError(text, letters=letters, outcomes=start) from error

    def check(self) -> None:
        """See that outcomes and dead letters can be published, by publishing none.

        Raises:
            OutcomesNotPublishedError: They cannot: the server is away, full or takes no writes,
                a right is missing, or there is no room.
        """
        try:
            if self._room is not None:
                self._room.make(1)
            for client, stream in ((self._client, OUTCOMES), (self._letters, DEAD_LETTERS)):
                write(client, self._script(client, TRY_ADDING), stream, [])
        except redis.RedisError as error:
            raise OutcomesNotPublishedError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._letters.close()


def entry_of(letter: DeadLetter) -> dict[Any, Any]:
    """Return a dead letter as it lies in the stream."""
    return {
        "messageId": letter.message_id or "",
        **({} if letter.index is None else {"index": letter.index}),
        "reason": letter.reason,
        "time": timestamp(datetime.now(UTC)),
        "delivery": json.dumps(letter.delivery),
        "raw": letter.raw,
    }
