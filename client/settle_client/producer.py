"""For callers who want speed: updates in, many messages in one write, every one confirmed.

A thread sends what was handed in, as soon as there is enough of it or it has waited
long enough; what the broker has not confirmed is sent again until it has. Sending
twice is safe, for both carry one message id. The messages are those that `send_task`
makes, so any Celery worker can read them. `settle_client.outbox` decides; here are
the thread and the lock. `settle_client.async_producer` is the same for asyncio.

It keeps nothing on disk: what is unsent when the process ends is lost, and `close`
says what that is.
"""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakSet

from settle_client.broker import make_queue
from settle_client.outbox import Bell, Limits, Outbox, Push, Wait
from settle_client.steps import drive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from settle_client.outbox import Steps
    from settle_client.update import StatusUpdate

Result = TypeVar("Result")


class Producer:
    """Sends status updates; one a process, for all its threads.

    A forked child may go on using its parent's: it begins with nothing unsent, and
    with a thread and a connection of its own.
    """

    def __init__(
        self,
        broker_url: str,
        *,
        max_wait_seconds: float = 0.005,
        max_unsent_updates: int = 10_000,
        timeout_seconds: float = 30.0,
        **transport_options: Any,
    ) -> None:
        """Connect nothing yet: that is done when there is something to send.

        Args:
            broker_url: As Celery takes it.
            max_wait_seconds: How long an update waits for others to travel with.
            max_unsent_updates: With so many unconfirmed, `send` blocks.
            timeout_seconds: How long `send` blocks, and `flush` and `close` wait.
            transport_options: Such as `master_name` behind sentinels: redis-py's options of
                a connection, or kombu's for another broker.

        Raises:
            AddressError: The URL or an option cannot be meant.
        """
        self._limits = Limits(max_wait_seconds, max_unsent_updates, timeout_seconds)
        self._make_queue = partial(make_queue, broker_url, **transport_options)
        self._begin()
        _IN_THIS_PROCESS.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._bells = {bell: threading.Condition(self._lock) for bell in Bell}
        self._outbox = Outbox(self._limits, lambda bell: self._bells[bell].notify_all())
        self._queue = self._make_queue()
        self._thread: threading.Thread | None = None

    def _begin_anew(self) -> None:
        """Leave to the parent what is the parent's; for the hook that follows a fork."""
        # Kept as it is: to drop the parent's connection could mean to close it.
        self._parents = self._outbox, self._queue
        self._begin()
        self._outbox.is_closed = self._parents[0].is_closed

    # -- for callers -----------------------------------------------------------------

    def send(self, update: StatusUpdate | Mapping[str, Any]) -> str:
        """Send one update as a message of its own, and return the message's id.

        Raises:
            InvalidUpdateError: It is not valid; the text names the field.
            NotSentError: There was no room for it in time; it is not sent.
        """
        return self._take(self._outbox.send(update))

    def send_together(self, updates: Iterable[StatusUpdate | Mapping[str, Any]]) -> str:
        """Send several updates in one message, and return the message's id.

        Args:
            updates: At least one, at most as many as workers take: 1,000 unless set.

        Raises:
            InvalidUpdateError: One is not valid; none of them is sent.
            NotSentError: There was no room for them in time; none of them is sent.
        """
        return self._take(self._outbox.send_together(updates))

    def _take(self, steps: Steps[str]) -> str:
        with self._lock:
            if self._thread is None and not self._outbox.is_closed:
                self._thread = threading.Thread(
                    target=self._run, name="settle-producer", daemon=True
                )
                self._thread.start()
            return drive(steps, self._perform)

    def flush(self) -> None:
        """Wait until the broker has confirmed what was handed in so far.

        Raises:
            NotSentError: It has not, in time; what it has not is in `message_ids`
                and is still being tried.
        """
        self._drive(self._outbox.flush())

    def close(self) -> None:
        """Flush, and stop.

        Raises:
            NotSentError: See `flush`; nothing is tried any more.
        """
        deadline = time.monotonic() + self._limits.timeout_seconds
        # What raises leaves no time to wait for a thread that ends by itself.
        self._drive(self._outbox.close())
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- for the core ----------------------------------------------------------------

    def _run(self) -> None:
        self._drive(self._outbox.send_out())
        self._queue.close()

    def _drive(self, steps: Steps[Result]) -> Result:
        with self._lock:
            return drive(steps, self._perform)

    def _perform(self, step: Wait | Push) -> bool:
        if isinstance(step, Wait):
            return self._bells[step.bell].wait_for(step.until, step.seconds)
        self._lock.release()
        try:
            self._queue.push(step.envelopes)
        finally:
            self._lock.acquire()
        return True


# A module that is being imported by a thread when another one forks is never imported to
# its end in the child. So connecting and sending import nothing: all is there before.
_IN_THIS_PROCESS: WeakSet[Producer] = WeakSet()


def _begin_anew_in_child() -> None:
    for producer in list(_IN_THIS_PROCESS):
        producer._begin_anew()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
