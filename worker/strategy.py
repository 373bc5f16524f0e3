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
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from celery.worker import state

from worker.amqp import Deliveries, is_amqp
from worker.batching import Batch, Batcher
from worker.breaker import Breaker
from worker.held import Held, Room, hold, hold_plain, is_revoked, job_of, make_request, uses_options
from worker.plain import read_plain
from worker.receiving import SetAside, receive, refuse
from worker.settings import Settings, load_settings
from worker.slot import Done, Job, NotDone, work
from worker.transport import Channel
from worker.transport.fetch import Fetched
from worker.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

logger = get_logger(__name__)

FIRST_RETRY_SECONDS = 0.1
# Times the room: more than an estimate is wrong by.
OVERFULL = 2


class BatchStrategy:
    """Takes the messages of one connection and sees them through."""

    def __init__(
        self, task: Any, app: Any, consumer: Any, settings: Settings | None = None
    ) -> None:
        """Start with nothing held; Celery makes one at every connection."""
        settings = settings or load_settings()
        self._task = task
        self._consumer = consumer
        self._request_of = partial(make_request, task=task, app=app, consumer=consumer)
        self._settings = settings
        self._batcher: Batcher[Held] = Batcher(
            max_updates=settings.batch_max_updates,
            max_wait_seconds=settings.batch_max_wait_seconds,
        )
        self._room = Room(
            max_updates=(consumer.pool.num_processes + 1) * settings.batch_max_updates,
            largest_message=settings.message_max_updates,
        )
        self._channel: Channel | None = None
        self._amqp: Deliveries | None = None
        self._slots_taken = 0
        self._updates_in_slots = 0
        self._pausing: dict[int, tuple[Any, Batch[Held]]] = {}
        self._trouble = Trouble()
        self._breaker = Breaker(settings.dead_letter_max_share)
        self._unexpected_in_a_row = 0
        self._age_timer_is_set = False
        self._dispatch_is_due = False
        self._stopping = False
        self._abandoned = False

    def attach(self, channel: Any) -> None:
        """Use what our transport offers; with another one the strategy does without.

        Args:
            channel: The one that messages will come from, before any has.
        """
        if isinstance(channel, Channel):
            self._channel = channel
            channel.room = self._messages_there_is_room_for
            channel.take = self._take
            channel.on_set_aside = self._on_set_aside
        elif is_amqp(channel):
            self._amqp = Deliveries(self._consumer, self._room)

    @property
    def _broker(self) -> Any:
        """Return what answers many deliveries at once, if anything does."""
        return self._channel or self._amqp

    def _messages_there_is_room_for(self) -> int:
        return self._room.messages(self._batcher.update_count + self._updates_in_slots)

    def _messages_held_exceed_the_room(self) -> bool:
        # Those on their way when the messages became larger; there is no room for them.
        held = self._batcher.update_count + self._updates_in_slots
        return held > OVERFULL * self._room.max_updates

    def _forget(self, held: Held) -> None:
        if self._amqp is not None:
            self._amqp.forget(held.tag)

    def _on_set_aside(self, item: bytes, queue: str, reason: str, tag: str) -> None:
        self.refuse(SetAside(item, queue, tag), reason)

    # -- received ------------------------------------------------------------

    def _take(self, came: Iterable[Fetched]) -> int:
        """Take the plain messages that stand first, and return how many they are."""
        plain: list[Held] = []
        for fetched in came:
            read = read_plain(fetched.item, max_updates=self._settings.message_max_updates)
            if read is None or not fetched.tag or is_revoked(read.message.id):
                break
            plain.append(hold_plain(fetched, read))
        if plain:
            self._hold(plain)
        return len(plain)

    def __call__(self, delivered: Any, payload: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        """Take one message from the broker; Celery calls this."""
        if self._amqp is not None:
            self._amqp.took(delivered.delivery_tag)
        try:
            message = receive(delivered, payload, max_updates=self._settings.message_max_updates)
            request = self._request_of(delivered) if uses_options(delivered) else None
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is answered
            self.refuse(delivered, str(error))
            return
        held = hold(delivered, message, request)
        if request is None or not self._drop_or_delay(held):
            self._hold([held])

    def refuse(self, delivered: Any, error: str) -> None:
        """Answer a message that carries no updates, in turn with the others."""
        if self._amqp is not None:
            self._amqp.took(delivered.delivery_tag)
        self._hold([hold(delivered, refuse(delivered, error))])

    def _drop_or_delay(self, held: Held) -> bool:
        request = held.request
        if request.revoked():
            self._forget(held)
            return True
        if not request.eta:
            return False
        # A delayed message must not take the place of one that could be applied.
        self._consumer.qos.increment_eventually()
        pause = max(0.0, (request.eta - datetime.now(UTC)).total_seconds())
        if self._broker is not None:
            self._broker.park(held.tag)
        entry = self._call_later(pause, self._on_due, request, held)
        request._eta_timer_entry = entry  # noqa: SLF001 - what Celery cancels when the connection is lost
        state.task_scheduled(request)
        return True

    def _on_due(self, request: Any, held: Held) -> None:
        state.task_ready(request)
        if not self._abandoned:
            self._consumer.qos.decrement_eventually()
            if self._broker is not None:
                self._broker.unpark(held.tag)
            self._batcher.add([held], time.monotonic())
            self._dispatch()

    # -- batched -------------------------------------------------------------

    def _hold(self, came: Sequence[Held]) -> None:
        if self._abandoned:
            return
        self._batcher.add(came, time.monotonic())
        self._room.learn(held.update_count for held in came)
        if self._amqp is not None:
            self._amqp.adapt()
            if self._messages_held_exceed_the_room():
                self._give_back(
                    self._batcher.remove(lambda other: any(other is held for held in came))
                )
                return
        if self._breaker.note([held.invalid_share for held in came]):
            self._stop_consuming()
        self._dispatch_soon()

    def _stop_consuming(self) -> None:
        """Give back what is not valid; the rest of what is held is settled."""
        self._consumer.stop_consuming(
            f"{self._breaker.share:.0%} of the latest messages are not valid"
        )
        self._breaker.reset()
        self._give_back(self._batcher.remove(lambda held: held.invalid_share > 0))

    def _dispatch_soon(self) -> None:
        # Once a turn of the event loop: messages that came together leave together.
        if not self._dispatch_is_due:
            self._dispatch_is_due = True
            self._consumer.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatch_is_due = False
        while not self._abandoned and self._slots_taken < self._consumer.pool.num_processes:
            batch = self._batcher.take(
                time.monotonic(),
                more_waiting=self._channel is not None and self._channel.more_waiting,
                stopping=self._stopping,
            )
            if batch is None:
                self._wait_for_age()
                return
            self._start(batch)

    def _wait_for_age(self) -> None:
        due = self._batcher.due_in_seconds(time.monotonic())
        if due is not None and not self._age_timer_is_set:
            self._age_timer_is_set = True
            self._call_later(due, self._on_age)

    def _on_age(self) -> None:
        self._age_timer_is_set = False
        self._dispatch()

    def _start(self, batch: Batch[Held]) -> None:
        kept = batch.items
        if state.revoked or any(held.request is not None for held in kept):
            kept = tuple(held for held in kept if not self._dropped_meanwhile(held))
        if kept:
            batch = replace(batch, items=kept, update_count=sum(h.update_count for h in kept))
            self._slots_taken += 1
            self._updates_in_slots += batch.update_count
            self._send_to_slot(batch, job_of(batch.items), tries=1)

    def _leave_slot(self, batch: Batch[Held]) -> None:
        self._slots_taken -= 1
        self._updates_in_slots -= batch.update_count

    def _dropped_meanwhile(self, held: Held) -> bool:
        """Drop a message that was revoked, or has expired, while it was held."""
        request = held.request
        if request is None:
            if not is_revoked(held.message.id):
                return False
            with suppress(Exception):
                request = self._request_of(self._delivered(held))
        dropped = bool(request is not None and request.revoked())
        if dropped:
            self._forget(held)
        return dropped

    def _delivered(self, held: Held) -> Any:
        """Return what kombu would have delivered."""
        if self._channel is not None and isinstance(held.delivered, Fetched):
            return self._channel.understand(held.delivered)
        return held.delivered

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
            report(NotDone("pool", f"the pool took no job: {error}", expected=False))

    def _on_report(self, batch: Batch[Held], job: Job, tries: int, result: Any) -> None:
        if self._abandoned:
            return
        if isinstance(result, Done):
            self._leave_slot(batch)
            self._acknowledge(batch)
            _log_batch(batch, result)
            self._on_success()
            self._dispatch()
        elif not isinstance(result, NotDone):
            # The slot's process died: of the batch, for all that is known.
            logger.error(
                "Batch %d goes back to the queue: its slot was lost: %s", batch.number, result
            )
            self._go_back(batch, died=True)
        elif self._stopping:
            logger.warning("Batch %d goes back to the queue: %s", batch.number, result.error)
            self._go_back(batch)
        elif result.expected or self._amqp is not None:
            # RabbitMQ counts what goes back, and in the end takes it for the messages' fault.
            self._hold_and_try_again(batch, job, tries, result)
        else:
            self._go_back_later(batch, result)

    def _on_success(self) -> None:
        self._unexpected_in_a_row = 0
        lasted = self._trouble.over(time.monotonic())
        if lasted is not None:
            tries = self._trouble.tries
            logger.info("Batches are settled again, after %.1f s and %d tries", lasted, tries)

    def _hold_and_try_again(
        self, batch: Batch[Held], job: Job, tries: int, result: NotDone
    ) -> None:
        """Keep the slot and try the same batch later: meanwhile fetching comes to a stop."""
        if self._trouble.note(result.kind, time.monotonic()):
            logger.warning("Batches are held and tried again until it is over: %s", result.error)
        self._pause(batch, tries, self._send_to_slot, batch, job, tries + 1)

    def _go_back_later(self, batch: Batch[Held], result: NotDone) -> None:
        """Keep the slot for a while, so that a worker that can do nothing does it slowly."""
        self._unexpected_in_a_row += 1
        self._trouble.note(result.kind, time.monotonic())
        logger.error("Batch %d goes back to the queue: %s", batch.number, result.error)
        self._pause(batch, self._unexpected_in_a_row, self._go_back, batch)

    def _pause(self, batch: Batch[Held], tries: int, then: Any, *args: Any) -> None:
        pause = min(
            FIRST_RETRY_SECONDS * 2 ** min(tries, 16), self._settings.retry_max_wait_seconds
        )
        pause *= random.uniform(0.5, 1.0)
        # Held for as long as the trouble lasts, which is not the messages' fault.
        self._for_each_tag(batch, "park")
        entry = self._call_later(pause, self._after_pause, batch, then, *args)
        self._pausing[batch.number] = (entry, batch)

    def _after_pause(self, batch: Batch[Held], then: Any, *args: Any) -> None:
        # A stop may have ended the pause before.
        if not self._abandoned and batch.number in self._pausing:
            del self._pausing[batch.number]
            self._for_each_tag(batch, "unpark")
            then(*args)

    def _go_back(self, batch: Batch[Held], *, died: bool = False) -> None:
        self._leave_slot(batch)
        self._give_back(batch.items, died=died)
        self._dispatch()

    def _give_back(self, items: Sequence[Held], *, died: bool = False) -> None:
        if self._broker is not None:
            self._broker.give_back([held.tag for held in items], died=died)
        else:
            for held in items:
                errors = self._consumer.connection_errors
                held.delivered.reject_log_error(logger, errors, requeue=True)
        for held in items:
            if held.request is not None:
                state.task_ready(held.request)

    def _for_each_tag(self, batch: Batch[Held], what: str) -> None:
        if self._channel is not None:
            for held in batch.items:
                getattr(self._channel, what)(held.tag)

    # -- acknowledged --------------------------------------------------------

    def _acknowledge(self, batch: Batch[Held]) -> None:
        if self._broker is not None:
            self._broker.ack_many([held.tag for held in batch.items])
        else:
            for held in batch.items:
                held.delivered.ack_log_error(logger, self._consumer.connection_errors)
        for held in batch.items:
            if held.request is not None:
                state.task_ready(held.request, successful=True)
        state.total_count[self._task.name] += len(batch.items)
        state.all_total_count[0] += len(batch.items)

    # -- stopped -------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Return whether anything is held or in a slot that is still to be finished."""
        return not self._abandoned and bool(self._slots_taken or len(self._batcher))

    def stop(self) -> None:
        """Let whatever is held leave as soon as slots are free, and try nothing twice."""
        self._stopping = True
        for entry, batch in self._pausing.values():
            entry.cancel()
            self._go_back(batch)
        self._pausing.clear()
        self._dispatch()

    def abandon(self) -> None:
        """Forget what is held; the broker delivers it again."""
        self._abandoned = True


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
