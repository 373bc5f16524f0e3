"""For callers who want speed: updates in, many messages in one write, every one confirmed.

A thread sends what was handed in, as soon as there is enough of it or it has
waited long enough; what the broker has not confirmed is sent again until it has.
Sending twice is safe, for both carry one message id. The messages are those that
`send_task` makes, so any Celery worker can read them.

It keeps nothing on disk: what is unsent when the process ends is lost, and
`close` says what that is.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from settle_client.broker import Broker
from settle_client.envelope import Envelope, bulk, single
from settle_client.errors import InvalidUpdateError, NotSentError
from settle_client.update import check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from settle_client.update import StatusUpdate

# One write: what Redis takes in a few milliseconds.
MAX_MESSAGES = 1_000
MAX_BYTES = 2**20
PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


class Producer:
    """Sends status updates; one a process, for all its threads."""

    def __init__(
        self,
        broker_url: str,
        *,
        max_wait_seconds: float = 0.005,
        max_unsent_updates: int = 10_000,
        timeout_seconds: float = 30.0,
        **transport_options: Any,
    ) -> None:
        """Start the thread; it connects when there is something to send.

        Args:
            broker_url: As Celery takes it.
            max_wait_seconds: How long an update waits for others to travel with.
            max_unsent_updates: With so many unconfirmed, `send` blocks.
            timeout_seconds: How long `send` blocks, and `flush` and `close` wait.
            transport_options: kombu's, such as `master_name` behind sentinels.
        """
        self.max_wait_seconds = max_wait_seconds
        self.max_unsent_updates = max_unsent_updates
        self.timeout_seconds = timeout_seconds
        self._broker = Broker(broker_url, **transport_options)
        self._unsent: deque[Envelope] = deque()
        self._unsent_updates = self._unsent_bytes = 0
        self._accepted = self._confirmed = 0
        self._hurry = self._closed = False
        self._trouble: Exception | None = None
        lock = threading.Lock()
        self._news, self._room = threading.Condition(lock), threading.Condition(lock)
        self._thread = threading.Thread(target=self._run, name="settle-producer", daemon=True)
        self._thread.start()

    # -- handed in -------------------------------------------------------------

    def send(self, update: StatusUpdate | Mapping[str, Any]) -> str:
        """Send one update as a message of its own, and return the message's id.

        Raises:
            InvalidUpdateError: It is not valid; the text names the field.
            NotSentError: There was no room for it in time; it is not sent.
        """
        return self._accept(single(check(update)))

    def send_together(self, updates: Sequence[StatusUpdate | Mapping[str, Any]]) -> str:
        """Send several updates in one message, and return the message's id.

        Args:
            updates: At least one, at most as many as workers take: 1,000 unless set.

        Raises:
            InvalidUpdateError: One is not valid; none of them is sent.
            NotSentError: There was no room for them in time; none of them is sent.
        """
        if not updates:
            raise InvalidUpdateError("a message carries at least one update")
        return self._accept(bulk([check(update) for update in updates]))

    def _accept(self, envelope: Envelope) -> str:
        with self._room:
            if not self._room.wait_for(lambda: self._has_room(envelope), self.timeout_seconds):
                raise NotSentError([envelope.message_id], self.timeout_seconds, self._trouble)
            if self._closed:
                raise NotSentError([envelope.message_id], 0, None)
            self._unsent.append(envelope)
            self._accepted += 1
            self._unsent_updates += envelope.update_count
            self._unsent_bytes += len(envelope.body)
            if len(self._unsent) == 1 or self._is_enough():
                self._news.notify()
        return envelope.message_id

    def _has_room(self, envelope: Envelope) -> bool:
        after = self._unsent_updates + envelope.update_count
        return self._closed or not self._unsent or after <= self.max_unsent_updates

    def flush(self) -> None:
        """Wait until the broker has confirmed what was handed in so far.

        Raises:
            NotSentError: It has not, in time; what it has not is in `message_ids`
                and is still being tried.
        """
        with self._room:
            upto = self._accepted
            self._hurry = True
            self._news.notify()
            if not self._room.wait_for(lambda: self._confirmed >= upto, self.timeout_seconds):
                missing = islice(self._unsent, upto - self._confirmed)
                ids = [envelope.message_id for envelope in missing]
                raise NotSentError(ids, self.timeout_seconds, self._trouble)

    def close(self) -> None:
        """Flush, and stop.

        Raises:
            NotSentError: See `flush`; nothing is tried any more.
        """
        try:
            self.flush()
        finally:
            with self._room:
                self._closed = True
                self._news.notify()
                self._room.notify_all()
            self._thread.join(self.timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- sent: in the thread -----------------------------------------------------

    def _run(self) -> None:
        tries = 0
        while chunk := self._next():
            try:
                self._broker.push(chunk)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                tries += 1
                self._pause(error, tries)
            else:
                tries = 0
                self._confirm(chunk)
        self._broker.disconnect()

    def _is_enough(self) -> bool:
        return self._hurry or len(self._unsent) >= MAX_MESSAGES or self._unsent_bytes >= MAX_BYTES

    def _next(self) -> list[Envelope]:
        """Return what to send now, nothing when it is over."""
        with self._news:
            self._news.wait_for(lambda: self._unsent or self._closed)
            self._news.wait_for(lambda: self._is_enough() or self._closed, self.max_wait_seconds)
            chunk: list[Envelope] = []
            size = 0
            for envelope in islice(self._unsent, 0 if self._closed else MAX_MESSAGES):
                size += len(envelope.body)
                if chunk and size > MAX_BYTES:
                    break
                chunk.append(envelope)
            return chunk

    def _confirm(self, chunk: list[Envelope]) -> None:
        with self._room:
            for envelope in chunk:
                self._unsent.popleft()
                self._unsent_updates -= envelope.update_count
                self._unsent_bytes -= len(envelope.body)
            self._confirmed += len(chunk)
            self._hurry = self._hurry and bool(self._unsent)
            self._trouble = None
            self._room.notify_all()

    def _pause(self, error: Exception, tries: int) -> None:
        self._broker.disconnect()
        pause = min(PAUSE_SECONDS * 2**tries, LONGEST_PAUSE_SECONDS)
        deadline = time.monotonic() + pause
        with self._news:
            self._trouble = error
            while not self._closed and (left := deadline - time.monotonic()) > 0:
                self._news.wait(left)
