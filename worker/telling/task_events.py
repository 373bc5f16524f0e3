"""What Flower and other monitors see of messages: Celery's task events, in bursts.

A message is received, started, and succeeded or failed, under its own id, as if it
were a task of its own. An update whose outcome says `updated: false` has succeeded; a
message has failed only if an update of it is not valid. Events carry the time at
which things happened and are sent together a moment later: one by one they would
cost several times what settling does. When nobody asks for task events nothing is made.

The runtime of a message is that of its batch: what whoever waits for it waited.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import msgspec
from celery.utils.time import utcoffset

from settle_client.envelope import show_ids
from settle_client.names import TASK
from worker.transport.delivery import cut_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from service.batching import Batch
    from worker.held import Held
    from worker.job import Done
    from worker.transport.delivery import Shown

# One publication: some 300 kB, which Redis and Flower take in their stride.
TASK_EVENTS_AT_ONCE = 1_000
MAX_DELAY_SECONDS = 0.1
MAX_SHOWN_CHARACTERS = 1_024
# What is shown of arguments by a client that does not write it: JSON, as it came.
NOTHING = (b'""', b"null")
# What else is shown of a message that is not plain.
SHORT = ("root_id", "parent_id", "retries", "eta", "expires")


class _Received(msgspec.Struct, omit_defaults=True):
    uuid: str | None
    args: Any
    kwargs: Any
    root_id: Any = None
    parent_id: Any = None
    retries: Any = 0
    eta: Any = None
    expires: Any = None


class _Started(msgspec.Struct):
    uuid: str | None


class _Succeeded(msgspec.Struct):
    uuid: str | None
    result: str
    runtime: float


class _Failed(msgspec.Struct):
    uuid: str | None
    exception: str
    traceback: str = ""


class _Rejected(msgspec.Struct):
    uuid: str | None
    requeue: bool = True


class _Revoked(msgspec.Struct):
    uuid: str | None
    expired: bool
    terminated: bool = False
    signum: int | None = None


_Fields = _Received | _Started | _Succeeded | _Failed | _Rejected | _Revoked
_encode = msgspec.json.Encoder(enc_hook=repr).encode


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
        self._task_events: list[bytes] = []
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

    # -- what happened ---------------------------------------------------------

    def received(self, items: Iterable[Held]) -> None:
        """Say that messages came."""
        if self.wanted:
            self._add("task-received", map(_received, items))

    def started(self, items: Iterable[Held]) -> None:
        """Say that a slot works on messages."""
        if self.wanted:
            self._add("task-started", (_Started(held.message.id) for held in items))

    def settled(self, batch: Batch[Held], done: Done) -> None:
        """Say what became of the messages of a batch."""
        if not self.wanted:
            return
        runtime = sum(done.seconds.values())
        ids = (held.message.id for held in batch.items)
        results = list(zip(ids, done.summary.results(), strict=True))
        succeeded = (_Succeeded(id_, one.text, runtime) for id_, one in results if not one.failed)
        self._add("task-succeeded", succeeded)
        self._add("task-failed", (_Failed(id_, one.text) for id_, one in results if one.failed))

    def dropped(self, items: Iterable[Held]) -> None:
        """Say that messages were revoked, or have expired."""
        if self.wanted:
            found = (_Revoked(held.message.id, held.drop_reason == "expired") for held in items)
            self._add("task-revoked", found)

    def given_back(self, items: Iterable[Held]) -> None:
        """Say that messages went back to their queue."""
        if self.wanted:
            self._add("task-rejected", (_Rejected(held.message.id) for held in items))

    # -- how it is sent --------------------------------------------------------

    def _add(self, kind: str, task_events: Iterable[_Fields]) -> None:
        # What they have in common is written once.
        common = _encode(self._common(kind))[:-1] + b","
        # There is nothing that a monitor could know a message without id by.
        written = (_write(fields) for fields in task_events if fields.uuid)
        self._task_events += [common + fields[1:] for fields in written if fields]
        if len(self._task_events) >= TASK_EVENTS_AT_ONCE:
            self.flush()
        elif self._task_events and not self._flush_is_due:
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
        task_events, self._task_events = self._task_events, []
        dispatcher = self._consumer.event_dispatcher
        if not task_events or dispatcher is None or dispatcher.producer is None:
            return
        for start in range(0, len(task_events), TASK_EVENTS_AT_ONCE):
            some = b"[" + b",".join(task_events[start : start + TASK_EVENTS_AT_ONCE]) + b"]"
            dispatcher.publish_written(some)


def _write(fields: _Fields) -> bytes:
    """Write the fields of a task event, empty if what somebody has sent cannot be shown."""
    try:
        return _encode(fields)
    except (ValueError, RecursionError):
        return b""


def _received(held: Held) -> _Received:
    shown = held.shown
    if shown is not None and _size(shown) < MAX_SHOWN_CHARACTERS:
        return _Received(
            uuid=held.message.id,
            args=_ids(held) if _says_nothing(shown) else shown.argsrepr,
            kwargs=shown.kwargsrepr,
            root_id=shown.root_id,
            parent_id=shown.parent_id,
            retries=shown.retries,
        )
    headers = held.delivery.headers()
    args, kwargs = _cut(headers.get("argsrepr")), _cut(headers.get("kwargsrepr"))
    return _Received(
        uuid=held.message.id,
        args=args if args or kwargs else _ids(held),
        kwargs=kwargs,
        **{name: _short(headers.get(name)) for name in SHORT},
    )


def _says_nothing(shown: Shown) -> bool:
    """Return whether a client has not written what is to be shown of its arguments."""
    return bytes(shown.argsrepr) in NOTHING and bytes(shown.kwargsrepr) in NOTHING


def _ids(held: Held) -> str:
    updates = [update for update in held.message.updates if update.id]
    return show_ids(updates)[:MAX_SHOWN_CHARACTERS] if updates else ""


def _size(shown: Shown) -> int:
    return sum(
        map(len, (shown.argsrepr, shown.kwargsrepr, shown.root_id, shown.parent_id, shown.retries))
    )


def _cut(text: Any) -> str:
    return text[:MAX_SHOWN_CHARACTERS] if isinstance(text, str) else ""


def _short(value: Any) -> Any:
    """Return an id, a time or a number, None in place of anything that is none."""
    return cut_text(value) if isinstance(value, str) else value if type(value) is int else None
