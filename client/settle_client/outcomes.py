"""What consumers do with the result channel: listen, follow, wait.

`subscribe` hears what is published from now on and forgets it. `follow` reads
the stream on behalf of a consumer group, so that every outcome is handled by
one of its members even if one of them dies. `read` and `wait` read the stream
for oneself. Outcomes may repeat: drop those whose message id and id were seen.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import redis

from settle_client.names import OUTCOMES
from settle_client.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

ENTRIES_PER_READ = 500
# How long a read waits for news before the caller's deadline is looked at again.
BLOCK_SECONDS = 1.0


class OutcomeClient:
    """The reading end of the result channel."""

    def __init__(self, url: str) -> None:
        """Read from the Redis that holds the result channel; connect when needed."""
        self._client = redis.Redis.from_url(url, decode_responses=True)

    @contextmanager
    def subscribe(self) -> Iterator[Iterator[Outcome]]:
        """Listen to the outcomes that are published inside the `with` block.

        Yields:
            An endless iterator. Outcomes published while nobody listens are
            not heard: use `follow` where they matter.
        """
        with self._client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe(OUTCOMES)
            # Wait for the confirmation: from here on nothing is missed.
            pubsub.get_message(ignore_subscribe_messages=False, timeout=None)
            yield (
                Outcome.from_json(message["data"])
                for message in pubsub.listen()
                if message["type"] == "message"
            )

    def position(self) -> str:
        """Return where the stream ends now, to read from there later."""
        newest: Any = self._client.xrevrange(OUTCOMES, count=1)
        return newest[0][0] if newest else "0-0"

    def poll(self, since: str, *, wait_seconds: float) -> list[tuple[str, Outcome]]:
        """Read what the stream holds after a position, waiting for it if it is nothing yet.

        Args:
            since: A position; `0-0` is before the oldest entry.
            wait_seconds: How long to wait at most.

        Returns:
            Some of the next outcomes, each with its position; nothing if none came.
        """
        answer: Any = self._client.xread(
            {OUTCOMES: since}, count=ENTRIES_PER_READ, block=max(int(wait_seconds * 1000), 1)
        )
        return [
            (position, Outcome.from_json(fields["outcome"]))
            for position, fields in _entries(answer)
        ]

    def read(self, since: str = "0-0") -> Iterator[Outcome]:
        """Read the stream from a position on, by default its start, and go on waiting for more."""
        while True:
            for position, outcome in self.poll(since, wait_seconds=BLOCK_SECONDS):
                since = position
                yield outcome

    def wait(
        self,
        messages: Mapping[str, Collection[str]],
        *,
        timeout_seconds: float,
        since: str = "0-0",
    ) -> Iterator[Outcome]:
        """Wait for the outcomes of messages, yielding each once as it comes.

        Args:
            messages: The event ids in each message, by message id.
            timeout_seconds: For all of them together.
            since: A position taken before the messages were sent, so that the
                whole stream need not be read.

        Raises:
            TimeoutError: Some outcomes have not come in time; it says how many.
        """
        missing = {(message, id_) for message, ids in messages.items() for id_ in ids}
        seen = set()
        deadline = time.monotonic() + timeout_seconds
        while missing:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(
                    f"no outcome within {timeout_seconds:g} s for {len(missing)} of the updates"
                )
            for position, outcome in self.poll(since, wait_seconds=min(left, BLOCK_SECONDS)):
                since = position
                told = (outcome.message_id, outcome.id, outcome.status, outcome.reason)
                if outcome.message_id in messages and told not in seen:
                    seen.add(told)
                    missing.discard((outcome.message_id, outcome.id or ""))
                    yield outcome

    def follow(
        self, group: str, consumer: str, *, claim_after_seconds: float = 60.0
    ) -> Iterator[Outcome]:
        """Read the stream as one member of a consumer group, from its beginning.

        An outcome is acknowledged when the next one is asked for: leaving the
        loop early, or dying, leaves the outcome at hand to be read again.

        Args:
            group: Made at the start of the stream if it does not exist.
            consumer: This member's name; the same again resumes its work.
            claim_after_seconds: When a member's unacknowledged outcomes are
                taken over by another.
        """
        self._make_group(group)
        yield from self._handle(group, self._read_group(group, consumer, "0"))
        claim_at = time.monotonic()
        while True:
            if time.monotonic() >= claim_at:
                claim_at = time.monotonic() + claim_after_seconds
                yield from self._handle(group, self._claim(group, consumer, claim_after_seconds))
            yield from self._handle(group, self._read_group(group, consumer, ">"))

    def _make_group(self, group: str) -> None:
        try:
            self._client.xgroup_create(OUTCOMES, group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _read_group(self, group: str, consumer: str, since: str) -> Iterator[Any]:
        while entries := _entries(
            self._client.xreadgroup(
                group,
                consumer,
                {OUTCOMES: since},
                count=ENTRIES_PER_READ,
                block=None if since != ">" else int(BLOCK_SECONDS * 1000),
            )
        ):
            yield from entries
            if since == ">":
                return
            since = entries[-1][0]

    def _claim(self, group: str, consumer: str, idle_seconds: float) -> Iterator[Any]:
        cursor: Any = "0-0"
        while True:
            cursor, entries, *_ = self._client.xautoclaim(
                OUTCOMES,
                group,
                consumer,
                min_idle_time=int(idle_seconds * 1000),
                start_id=cursor,
                count=ENTRIES_PER_READ,
            )
            yield from entries
            if cursor == "0-0":
                return

    def _handle(self, group: str, entries: Iterator[Any]) -> Iterator[Outcome]:
        handled: list[str] = []
        try:
            for entry_id, fields in entries:
                # Trimmed away while it was pending: there is nothing left to tell.
                if fields:
                    yield Outcome.from_json(fields["outcome"])
                handled.append(entry_id)
        finally:
            if handled:
                self._client.xack(OUTCOMES, group, *handled)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _entries(answer: Any) -> list[Any]:
    """Take the entries of the one stream out of an XREAD answer, of either protocol."""
    if not answer:
        return []
    return (answer[OUTCOMES] if isinstance(answer, dict) else answer[0][1]) or []
