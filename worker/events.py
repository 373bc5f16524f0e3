"""What Flower and other monitors are told about messages: Celery's task events, in bursts.

A message is received, started, and succeeded or failed, under its own id, as if it
were a task of its own. An update that is told `updated: false` has succeeded; a
message has failed only if an update of it is not valid. Events carry the time at
which things happened and are sent together a moment later: one by one they would
cost several times what settling does. When nobody asks for events nothing is made.

The runtime of a message is that of its batch: what whoever waits for it waited.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import msgspec
from celery.utils.log import get_logger
from celery.utils.time import utcoffset

from tasks.names import TASK
from worker.transport.fetch import Fetched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from worker.batching import Batch
    from worker.held import Held
    from worker.slot import Done

logger = get_logger(__name__)

# One publication: some 150 kB, which Redis and Flower take in their stride.
EVENTS_AT_ONCE = 500
MAX_DELAY_SECONDS = 0.1
MAX_SHOWN_CHARACTERS = 1_024
# The routing key under which monitors expect several events of the group `task`.
SEVERAL = "task.multi"


class _Headers(msgspec.Struct):
    argsrepr: Any = ""
    kwargsrepr: Any = ""
    root_id: Any = None
    parent_id: Any = None
    retries: Any = 0
    eta: Any = None
    expires: Any = None


class _Item(msgspec.Struct):
    headers: _Headers


_decode = msgspec.json.Decoder(_Item).decode
_encode = msgspec.json.Encoder(enc_hook=repr).encode


class TaskEvents:
    """The events of the messages of one connection."""

    def __init__(self, consumer: Any, *, enabled: bool, call_later: Callable[..., Any]) -> None:
        """Have nothing to tell yet.

        Args:
            consumer: Celery's, which has the dispatcher, and is told when nobody listens.
            enabled: Whether there are to be any at all.
            call_later: Calls a function after some seconds.
        """
        self._consumer = consumer
        self._enabled = enabled
        self._call_later = call_later
        self._events: list[dict[str, Any]] = []
        self._flush_is_due = False

    @property
    def wanted(self) -> bool:
        """Return whether anybody asked for events: with `-E`, or as Flower does."""
        dispatcher = self._consumer.event_dispatcher
        return bool(
            self._enabled
            and dispatcher is not None
            and dispatcher.enabled
            and (not dispatcher.groups or "task" in dispatcher.groups)
        )

    # -- what happened ---------------------------------------------------------

    def received(self, items: Iterable[Held]) -> None:
        """Tell that messages came."""
        if self.wanted:
            self._tell("task-received", ((held, _described(held)) for held in items))

    def started(self, items: Iterable[Held]) -> None:
        """Tell that a slot works on messages."""
        if self.wanted:
            self._tell("task-started", ((held, {}) for held in items))

    def settled(self, batch: Batch[Held], done: Done) -> None:
        """Tell what became of the messages of a batch."""
        if not self.wanted:
            return
        runtime = sum(done.seconds.values())
        told = list(zip(batch.items, done.summary.told(), strict=True))
        succeeded = ((h, {"result": t.text, "runtime": runtime}) for h, t in told if not t.failed)
        self._tell("task-succeeded", succeeded)
        failed = ((h, {"exception": t.text, "traceback": ""}) for h, t in told if t.failed)
        self._tell("task-failed", failed)

    def given_back(self, items: Iterable[Held]) -> None:
        """Tell that messages went back to their queue."""
        if self.wanted:
            self._tell("task-rejected", ((held, {"requeue": True}) for held in items))

    # -- how it is told --------------------------------------------------------

    def _tell(self, kind: str, what: Iterable[tuple[Held, dict[str, Any]]]) -> None:
        common = self._common(kind)
        self._events.extend(
            {**common, "uuid": held.message.id, **fields}
            for held, fields in what
            # There is nothing that a monitor could know a message without id by.
            if held.message.id
        )
        if len(self._events) >= EVENTS_AT_ONCE:
            self.flush()
        elif self._events and not self._flush_is_due:
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
            "timestamp": time.time(),
        }

    def _on_due(self) -> None:
        self._flush_is_due = False
        self.flush()

    def flush(self) -> None:
        """Send what there is to tell."""
        events, self._events = self._events, []
        dispatcher = self._consumer.event_dispatcher
        if not events or dispatcher is None or dispatcher.producer is None:
            return
        for start in range(0, len(events), EVENTS_AT_ONCE):
            some = events[start : start + EVENTS_AT_ONCE]
            try:
                self._publish(dispatcher, some)
            except Exception as error:  # noqa: BLE001 - nobody's message waits for a monitor
                logger.debug("Events wait for the next connection: %s", error)
                # Sent by Celery when it has another connection.
                dispatcher._outbound_buffer.append((some, SEVERAL))  # noqa: SLF001

    def _publish(self, dispatcher: Any, events: Sequence[dict[str, Any]]) -> None:
        with dispatcher.mutex:
            dispatcher.producer.publish(
                _encode(events),
                routing_key=SEVERAL,
                exchange=dispatcher.exchange.name,
                content_type="application/json",
                content_encoding="utf-8",
                headers=dispatcher.headers,
                delivery_mode=dispatcher.delivery_mode,
            )


def _described(held: Held) -> dict[str, Any]:
    """Return what a monitor shows of a message."""
    delivered = held.delivered
    if isinstance(delivered, Fetched):
        headers = _decode(delivered.item).headers
    else:
        known = delivered.headers if isinstance(delivered.headers, dict) else {}
        headers = _Headers(**{f: known[f] for f in _Headers.__struct_fields__ if f in known})
    return {
        "args": _shown(headers.argsrepr),
        "kwargs": _shown(headers.kwargsrepr),
        "root_id": headers.root_id,
        "parent_id": headers.parent_id,
        "retries": headers.retries,
        "eta": headers.eta,
        "expires": headers.expires,
    }


def _shown(text: Any) -> str:
    return text[:MAX_SHOWN_CHARACTERS] if isinstance(text, str) else ""
