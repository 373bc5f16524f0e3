"""What consumers do with the result channel: listen, follow, wait.

`subscribe` hears what is published from now on and forgets it. `follow` reads
the stream on behalf of a consumer group, so that every outcome is handled by
one of its members even if one of them dies. `read` and `wait` read the stream
for oneself. Outcomes may repeat: drop those whose `identity` was seen.
What is no outcome is yielded as an `UnreadOutcome`, and trouble that passes is
waited out.

`settle_client.reading` and `settle_client.following` decide; here is the connection.
`settle_client.async_outcomes` is the same for asyncio.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from settle_client import reading, thread
from settle_client.errors import BelongsElsewhereError, SettleError
from settle_client.following import Member
from settle_client.names import OUTCOMES
from settle_client.redis_server import clients_of, open_reader
from settle_client.steps import Pause, Together, drive, iterate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping

    from settle_client.outcome import Outcome


class OutcomeClient:
    """The reading end of the result channel. A forked child may go on using its parent's."""

    def __init__(self, url: str, **options: Any) -> None:
        """Read from the Redis that holds the result channel; connect when needed.

        Args:
            url: Of Redis or Valkey, or of its sentinels.
            options: Of redis-py's connections; behind sentinels `master_name`. A `retry`
                has no effect, for what is tried again is decided here.

        Raises:
            AddressError: The URL or an option cannot be meant.
        """
        self._client = open_reader(url, asynchronous=False, **options)
        self._is_closed = False

    @contextmanager
    def subscribe(self) -> Iterator[Iterator[Outcome]]:
        """Listen to the outcomes that are published inside the `with` block.

        Yields:
            An endless iterator. Outcomes published while nobody listens are
            not heard: use `follow` where they matter.
        """
        with self._client.pubsub() as pubsub:
            pubsub.subscribe(OUTCOMES)
            # Wait for the confirmation: from here on nothing is missed.
            pubsub.get_message(timeout=None)
            yield iterate(reading.listen(), partial(self._listen, pubsub, os.getpid()))

    def _listen(self, pubsub: Any, process_id: int, step: Any) -> Any:
        if os.getpid() != process_id:
            raise BelongsElsewhereError("the parent listens here: subscribe in the child, too")
        match step:
            case reading.Hear(seconds):
                return pubsub.get_message(timeout=seconds)
            case reading.Knock():
                return pubsub.ping()
        pubsub.connection.disconnect()
        return time.sleep(step.seconds)

    def position(self) -> str:
        """Return where the stream ends now, to read from there later."""
        return drive(reading.position(), self._ask)

    def poll(self, since: str, *, wait_seconds: float) -> list[tuple[str, Outcome]]:
        """Read what the stream holds after a position, waiting for it if it is nothing yet.

        Args:
            since: A position; `0-0` is before the oldest entry.
            wait_seconds: How long to wait at most.

        Returns:
            Some of the next outcomes, each with its position; nothing if none came.
        """
        return drive(reading.poll(since, wait_seconds), self._ask)

    def read(self, since: str = "0-0") -> Generator[Outcome, None, None]:
        """Read the stream from a position on, by default its start, and go on waiting for more."""
        return iterate(reading.read(since), self._ask)

    def wait(
        self,
        messages: Mapping[str, Collection[str]],
        *,
        timeout_seconds: float,
        since: str = "0-0",
    ) -> Generator[Outcome, None, None]:
        """Wait for the outcomes of messages, yielding each once as it comes.

        Args:
            messages: The event ids in each message, by message id.
            timeout_seconds: For all of them together.
            since: A position taken before the messages were sent, so that the
                whole stream need not be read.

        Raises:
            TimeoutError: Some outcomes have not come in time; it says how many.
        """
        return iterate(reading.wait(messages, timeout_seconds, since), self._ask)

    def follow(
        self,
        group: str,
        consumer: str,
        *,
        claim_after_seconds: float = 60.0,
        on_gone: Callable[[int | None], None] | None = None,
    ) -> Generator[Outcome, None, None]:
        """Read the stream as one member of a consumer group, from its beginning.

        An outcome is acknowledged when the next one is asked for, by a fast caller
        a moment later, with others: leaving the loop early leaves the outcome at
        hand to be read again, dying may leave some that were handled just before. For as
        long as work on one takes, this member's are renewed, and no other takes
        them over; work that never ends is never taken over either, so give it a
        time limit.

        Args:
            group: Made at the start of the stream if it does not exist.
            consumer: This member's name, and nobody else's at the same time; the same
                again resumes its work.
            claim_after_seconds: When the outcomes of a member that is gone are taken
                over by another; the same for all of a group.
            on_gone: Is called with how many outcomes were trimmed before the group had
                read them, None where Redis does not say (6.2). Otherwise the log says it.
        """
        member = Member(group, consumer, claim_after_seconds, on_gone)
        return iterate(member.follow(), self._ask, thread.begin)

    def close(self) -> None:
        """Close the connections, for good: what is left of a loop opens no other."""
        self._is_closed = True
        self._disconnect()

    def _disconnect(self) -> None:
        for client in clients_of(self._client):
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, step: Any) -> Any:
        if self._is_closed:
            raise SettleError("the client is closed")
        try:
            return self._do(step)
        finally:
            # It may have been about to connect, in another thread.
            if self._is_closed:
                self._disconnect()

    def _do(self, step: Any) -> Any:
        if isinstance(step, Pause):
            # Those in use, by other threads, may be well.
            self._client.connection_pool.disconnect(inuse_connections=False)
            return time.sleep(step.seconds)
        if isinstance(step, Together):
            with self._client.pipeline(transaction=True) as pipe:
                for command in step.commands:
                    pipe.execute_command(*command)
                return pipe.execute(raise_on_error=False)
        return self._client.execute_command(*step)
