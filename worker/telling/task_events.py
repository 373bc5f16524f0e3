"""What Flower and other monitors see of messages: Celery's task events, in bursts.

A message is received, started, and succeeded or failed, under its own id, as if it
were a task of its own. An update whose outcome says `updated: false` has succeeded; a
message has failed only if an update of it is not valid. What happens is remembered, with
the time at which it does, and said a moment later, all together: one by one it would cost
several times what settling does. It is written then, if somebody listens; when nobody
asks for task events nothing is even remembered.

The runtime of a message is that of its batch: what whoever waits for it waited.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from celery.utils.time import utcoffset

from settle_client.names import TASK
from worker.telling import task_event_texts as texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from service.batching import Batch
    from worker.held import Held
    from worker.job import Done

MAX_DELAY_SECONDS = 0.1
# How long somebody who was there is taken to be there still.
HEARD_SECONDS = 1.0
# Whatever is remembered of messages keeps them in memory.
MOST_TASK_EVENTS = 10_000
MOST_BYTES = 4 * 2**20


class TaskEvents:
    """The task events of one connection."""

    def __init__(self, consumer: Any, *, enabled: bool, call_later: Callable[..., Any]) -> None:
        """Have nothing to tell yet.

        Args:
            consumer: Celery's, which has the dispatcher.
            enabled: Whether there are to be any at all.
            call_later: Calls a function after some seconds.
        """
        self._consumer = consumer
        self._enabled = enabled
        self._call_later = call_later
        self._happened: list[texts.Happened] = []
        self._count = self._byte_count = 0
        self._heard_at = float("-inf")
        self._flush_is_due = False

    @property
    def wanted(self) -> bool:
        """Return whether anybody asked for task events: with `-E`, or as Flower does."""
        dispatcher = self._consumer.event_dispatcher
        return bool(
            self._enabled
            and dispatcher is not None
            and dispatcher.enabled
            and (not dispatcher.groups or "task" in dispatcher.groups)
        )

    @property
    def are_heard(self) -> bool:
        """Return whether it is worth it to read what monitors show along with the rest.

        It can be read later, which takes longer.
        """
        return time.monotonic() - self._heard_at < HEARD_SECONDS and self.wanted

    # -- what happened ---------------------------------------------------------

    def received(self, items: Sequence[Held]) -> None:
        """Say that messages came."""
        if self.wanted:
            # What else becomes of them keeps no others.
            self._byte_count += sum(held.byte_count for held in items)
            self._add("task-received", items, texts.received)

    def started(self, items: Sequence[Held]) -> None:
        """Say that a slot works on messages."""
        if self.wanted:
            self._add("task-started", items, texts.started)

    def settled(self, batch: Batch[Held], done: Done) -> None:
        """Say what became of the messages of a batch."""
        if not self.wanted:
            return
        self._add("task-succeeded", batch.items, partial(texts.succeeded, done=done))
        self._add("task-failed", batch.items, partial(texts.failed, done=done))

    def dropped(self, items: Sequence[Held]) -> None:
        """Say that messages were revoked, or have expired."""
        if self.wanted:
            self._add("task-revoked", items, texts.revoked)

    def given_back(self, items: Sequence[Held]) -> None:
        """Say that messages went back to their queue."""
        if self.wanted:
            self._add("task-rejected", items, texts.rejected)

    # -- how it is sent --------------------------------------------------------

    def _add(
        self,
        kind: str,
        items: Sequence[Held],
        write: Callable[[Sequence[Held]], Iterable[bytes]],
    ) -> None:
        self._happened.append(texts.Happened(self._common(kind), items, write))
        self._count += len(items)
        if self._count >= MOST_TASK_EVENTS or self._byte_count >= MOST_BYTES:
            self.flush()
        elif not self._flush_is_due:
            self._flush_is_due = True
            self._call_later(MAX_DELAY_SECONDS, self._on_due)

    def _common(self, kind: str) -> dict[str, Any]:
        dispatcher = self._consumer.event_dispatcher
        return {
            "type": kind,
            "name": TASK,
            "hostname": dispatcher.hostname,
            "pid": os.getpid(),
            "utcoffset": utcoffset(),
            "clock": dispatcher.clock.forward(),
            "timestamp": round(time.time(), 6),
        }

    def _on_due(self) -> None:
        self._flush_is_due = False
        self.flush()

    def flush(self) -> None:
        """Send what has been said so far."""
        happened, self._happened = self._happened, []
        byte_count, self._byte_count, self._count = self._byte_count, 0, 0
        dispatcher = self._consumer.event_dispatcher
        if dispatcher is None or dispatcher.producer is None:
            return
        bodies = texts.bodies(happened)
        if first := next(bodies, None):
            dispatcher.publish_written(first, self._more(bodies), byte_count)

    def _more(self, bodies: Iterator[bytes]) -> Iterator[bytes]:
        # Nobody asks for any unless somebody was there for the first.
        self._heard_at = time.monotonic()
        yield from bodies
