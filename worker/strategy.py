"""Celery's strategy seam: messages in, batches to the pool, acknowledgements out.

An update's way through this module: received (`worker.receiving`), batched
(`worker.batching`), sent to a pool slot (`worker.slot`), acknowledged when the
slot says that the batch is committed and published. Everything here runs in the
consumer's thread; slots report back through the consumer's event loop.

There is one strategy a connection. When the connection is lost its strategy is
abandoned with whatever it holds: the broker delivers that again, and a late
report of a slot is ignored, for its delivery tags are dead.
"""

from __future__ import annotations

import random
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.request import Request

from worker.batching import Batch, Batcher
from worker.receiving import delivery_details, receive, refuse
from worker.settings import Settings, load_settings
from worker.slot import Done, Job, NotDone, work

if TYPE_CHECKING:
    from tasks.messages import Message

logger = get_logger(__name__)

FIRST_RETRY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Held:
    """A message on its way: what the broker delivered, and what it says.

    `request` is Celery's own view of it, made only for messages that use the
    options it implements: eta, expires, revoke.
    """

    delivered: Any
    message: Message
    request: Any = None

    @property
    def update_count(self) -> int:
        """Return how many updates the message carries."""
        return len(self.message.updates)


class BatchStrategy:
    """Takes the messages of one connection and sees them through."""

    def __init__(
        self, task: Any, app: Any, consumer: Any, settings: Settings | None = None
    ) -> None:
        """Start with nothing held; Celery makes one at every connection."""
        settings = settings or load_settings()
        self._task = task
        self._app = app
        self._consumer = consumer
        self._settings = settings
        self._batcher: Batcher[Held] = Batcher(
            max_updates=settings.batch_max_updates,
            max_wait_seconds=settings.batch_max_wait_seconds,
        )
        self._slots_taken = 0
        self._dispatch_is_due = False
        self._stopping = False
        self._abandoned = False

    # -- received ------------------------------------------------------------

    def __call__(self, delivered: Any, payload: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        """Take one message from the broker; Celery calls this."""
        try:
            message = receive(delivered, payload, max_updates=self._settings.message_max_updates)
            request = self._request(delivered) if _uses_options(delivered) else None
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is answered
            self.refuse(delivered, str(error))
            return
        held = Held(delivered, message, request)
        if request is None or not self._drop_or_delay(held):
            self._hold(held)

    def refuse(self, delivered: Any, error: str) -> None:
        """Answer a message that carries no updates, in turn with the others."""
        self._hold(Held(delivered, refuse(delivered, error)))

    def _request(self, delivered: Any) -> Any:
        return Request(
            delivered,
            on_ack=delivered.ack_log_error,
            on_reject=delivered.reject_log_error,
            app=self._app,
            hostname=self._consumer.hostname,
            eventer=self._consumer.event_dispatcher,
            task=self._task,
            connection_errors=self._consumer.connection_errors,
            body=delivered.body,
            headers=delivered.headers,
            utc=self._app.uses_utc_timezone(),
        )

    def _drop_or_delay(self, held: Held) -> bool:
        request = held.request
        if request.revoked():
            return True
        if not request.eta:
            return False
        # A delayed message must not take the place of one that could be applied.
        self._consumer.qos.increment_eventually()
        pause = max(0.0, (request.eta - datetime.now(UTC)).total_seconds())
        entry = self._call_later(pause, self._on_due, request, held)
        request._eta_timer_entry = entry  # noqa: SLF001 - what Celery cancels when the connection is lost
        state.task_scheduled(request)
        return True

    def _on_due(self, request: Any, held: Held) -> None:
        state.task_ready(request)
        if not self._abandoned:
            self._consumer.qos.decrement_eventually()
            self._batcher.add(held, time.monotonic())
            self._dispatch()

    # -- batched -------------------------------------------------------------

    def _hold(self, held: Held) -> None:
        if self._abandoned:
            return
        self._batcher.add(held, time.monotonic())
        self._dispatch_soon()

    def _dispatch_soon(self) -> None:
        # Once a turn of the event loop: messages that came together leave together.
        if not self._dispatch_is_due:
            self._dispatch_is_due = True
            self._consumer.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatch_is_due = False
        while not self._abandoned and self._slots_taken < self._consumer.pool.num_processes:
            batch = self._batcher.take(time.monotonic(), stopping=self._stopping)
            if batch is None:
                return
            self._start(batch)

    def _start(self, batch: Batch[Held]) -> None:
        kept = tuple(held for held in batch.items if not self._dropped_meanwhile(held))
        if kept:
            self._slots_taken += 1
            batch = replace(batch, items=kept, update_count=sum(h.update_count for h in kept))
            self._send_to_slot(batch, _job(batch), tries=1)

    def _dropped_meanwhile(self, held: Held) -> bool:
        """Drop a message that was revoked, or has expired, while it was held."""
        request = held.request
        if request is None:
            if held.message.id not in state.revoked:
                return False
            with suppress(Exception):
                request = self._request(held.delivered)
        return bool(request is not None and request.revoked())

    def _call_later(self, seconds: float, function: Any, *args: Any) -> Any:
        timer, hub = self._consumer.timer, self._consumer.hub
        if hub is not None:
            # Called directly: the event loop's timers run in its own thread, and
            # what they schedule with call_soon waits for the next thing to happen.
            return timer.call_after(seconds, function, args)
        return timer.call_after(seconds, self._consumer.call_soon, (function, *args))

    # -- applied and published -----------------------------------------------

    def _send_to_slot(self, batch: Batch[Held], job: Job, tries: int) -> None:
        def report(result: Any) -> None:
            self._consumer.call_soon(self._on_report, batch, job, tries, result)

        try:
            self._consumer.pool.apply_async(
                work,
                (job,),
                callback=report,
                error_callback=report,
                correlation_id=str(batch.number),
            )
        except Exception as error:  # noqa: BLE001 - the pool is broken, or closed
            report(error)

    def _on_report(self, batch: Batch[Held], job: Job, tries: int, result: Any) -> None:
        if self._abandoned:
            return
        if isinstance(result, Done):
            self._slots_taken -= 1
            self._acknowledge(batch)
            _log_batch(batch, result)
            self._dispatch()
            return
        if not isinstance(result, NotDone):
            # The slot's process died, or could not be reached.
            result = NotDone(f"the slot was lost: {result}", expected=False, outcomes=job.outcomes)
        self._try_again(batch, replace(job, outcomes=result.outcomes), tries, result)

    def _try_again(self, batch: Batch[Held], job: Job, tries: int, result: NotDone) -> None:
        """Keep the slot and try the same batch later: meanwhile prefetching comes to a stop."""
        if self._stopping:
            self._slots_taken -= 1
            logger.warning("Batch %d goes back to the queue: %s", batch.number, result.error)
            return
        pause = min(FIRST_RETRY_SECONDS * 2**tries, self._settings.retry_max_wait_seconds)
        pause *= random.uniform(0.5, 1.0)
        log = logger.warning if result.expected else logger.error
        log("Batch %d is held, next try in %.1f s: %s", batch.number, pause, result.error)
        self._call_later(pause, self._send_to_slot, batch, job, tries + 1)

    # -- acknowledged --------------------------------------------------------

    def _acknowledge(self, batch: Batch[Held]) -> None:
        for held in batch.items:
            held.delivered.ack_log_error(logger, self._consumer.connection_errors)
            if held.request is not None:
                state.task_ready(held.request, successful=True)
        state.total_count[self._task.name] += len(batch.items)
        state.all_total_count[0] += len(batch.items)

    # -- stopped -------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Return whether anything is held or in a slot."""
        return bool(self._slots_taken or len(self._batcher))

    def stop(self) -> None:
        """Let whatever is held leave as soon as slots are free, and try nothing twice."""
        self._stopping = True
        self._dispatch()

    def abandon(self) -> None:
        """Forget what is held; the broker delivers it again."""
        self._abandoned = True


def _uses_options(delivered: Any) -> bool:
    """Return whether a message has options of Celery's that are not for every message."""
    headers = delivered.headers
    if not isinstance(headers, dict) or not isinstance(headers.get("id"), str):
        return False
    options = ("eta", "expires", "stamped_headers")
    return headers["id"] in state.revoked or any(headers.get(option) for option in options)


def _job(batch: Batch[Held]) -> Job:
    return Job(
        messages=tuple(held.message for held in batch.items),
        deliveries=tuple(delivery_details(held.delivered) for held in batch.items),
        wants_result=tuple(
            not (held.delivered.headers or {}).get("ignore_result") for held in batch.items
        ),
    )


def _log_batch(batch: Batch[Held], done: Done) -> None:
    logger.info(
        "Batch %d: %d updates in %d messages, left because of %s after %.0f ms, "
        "applied in %.0f ms, published in %.0f ms: %s",
        batch.number,
        batch.update_count,
        len(batch.items),
        batch.why,
        batch.waited_seconds * 1000,
        done.seconds["applied"] * 1000,
        done.seconds["published"] * 1000,
        ", ".join(f"{count} {reason}" for reason, count in sorted(done.reasons.items())),
    )
