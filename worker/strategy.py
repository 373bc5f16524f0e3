"""Celery's strategy seam: messages in, batches to the pool, acknowledgements out.

An update's way through this module: received (`worker.receiving`), batched
(`worker.batching`), sent to a pool slot (`worker.slots`), acknowledged when the
slot says that the batch is committed and published. Everything here runs in the
consumer's thread.

There is one strategy a connection. When the connection is lost its strategy is
abandoned with whatever it holds: the broker delivers that again, and a late
report of a slot is ignored, for its delivery tags are dead.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from celery.worker import state

from worker import measuring
from worker.answers import Answers
from worker.batching import Batch, Batcher
from worker.breaker import Breaker
from worker.held import Held, Load, Room, hold, hold_plain, is_revoked, make_request, uses_options
from worker.plain import read_plain
from worker.receiving import SetAside, receive, refuse
from worker.settings import Settings, load_settings
from worker.slots import Slots
from worker.transport import Channel
from worker.transport.fetch import Fetched

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from worker.slot import Done

logger = get_logger(__name__)

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
        self._answers = Answers(consumer)
        self._slots = Slots(
            self, self._answers, consumer, retry_max_wait_seconds=settings.retry_max_wait_seconds
        )
        self._breaker = Breaker(settings.dead_letter_max_share)
        self._age_timer_is_set = False
        self._dispatch_is_due = False
        self._stopping = False
        self._abandoned = False

    def attach(self, channel: Any) -> None:
        """Use what our transport offers; with another one the strategy does without.

        Args:
            channel: The one that messages will come from, before any has.
        """
        self._answers.attach(channel, self._room)
        if isinstance(channel, Channel):
            channel.room = self._messages_there_is_room_for
            channel.take = self._take
            channel.on_set_aside = self._on_set_aside

    def _messages_there_is_room_for(self) -> int:
        return self._room.messages(self._batcher.update_count + self._slots.update_count)

    def _messages_held_exceed_the_room(self) -> bool:
        # Those on their way when the messages became larger; there is no room for them.
        held = self._batcher.update_count + self._slots.update_count
        return held > OVERFULL * self._room.max_updates

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
            measuring.fetched("plain", len(plain))
            self._hold(plain)
        return len(plain)

    def __call__(self, delivered: Any, payload: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        """Take one message from the broker; Celery calls this."""
        self._answers.took(delivered.delivery_tag)
        try:
            message = receive(delivered, payload, max_updates=self._settings.message_max_updates)
            request = self._request_of(delivered) if uses_options(delivered) else None
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is answered
            self.refuse(delivered, str(error))
            return
        measuring.fetched("other")
        held = hold(delivered, message, request)
        if request is None or not self._drop_or_delay(held):
            self._hold([held])

    def refuse(self, delivered: Any, error: str) -> None:
        """Answer a message that carries no updates, in turn with the others."""
        measuring.fetched("other")
        self._answers.took(delivered.delivery_tag)
        self._hold([hold(delivered, refuse(delivered, error))])

    def _drop_or_delay(self, held: Held) -> bool:
        request = held.request
        if request.revoked():
            self._answers.forget(held.tag)
            return True
        if not request.eta:
            return False
        # A delayed message must not take the place of one that could be applied.
        self._consumer.qos.increment_eventually()
        pause = max(0.0, (request.eta - datetime.now(UTC)).total_seconds())
        self._answers.park(held.tag)
        entry = self.call_later(pause, self._on_due, request, held)
        request._eta_timer_entry = entry  # noqa: SLF001 - what Celery cancels when the connection is lost
        state.task_scheduled(request)
        return True

    def _on_due(self, request: Any, held: Held) -> None:
        state.task_ready(request)
        if not self._abandoned:
            self._consumer.qos.decrement_eventually()
            self._answers.unpark(held.tag)
            self._batcher.add([held], time.monotonic())
            self._dispatch()

    # -- batched -------------------------------------------------------------

    def _hold(self, came: Sequence[Held]) -> None:
        if self._abandoned:
            return
        self._batcher.add(came, time.monotonic())
        self._room.learn(held.update_count for held in came)
        self._answers.adapt()
        if self._answers.counts_returns and self._messages_held_exceed_the_room():
            self._answers.give_back(
                self._batcher.remove(lambda other: any(other is held for held in came))
            )
            return
        if self._breaker.note([held.invalid_share for held in came]):
            self._stop_consuming()
        self._dispatch_soon()

    def _stop_consuming(self) -> None:
        """Give back what is not valid; the rest of what is held is settled."""
        measuring.tripped()
        self._consumer.stop_consuming(
            f"{self._breaker.share:.0%} of the latest messages are not valid"
        )
        self._breaker.reset()
        self._answers.give_back(self._batcher.remove(lambda held: held.invalid_share > 0))

    def _dispatch_soon(self) -> None:
        # Once a turn of the event loop: messages that came together leave together.
        if not self._dispatch_is_due:
            self._dispatch_is_due = True
            self._consumer.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatch_is_due = False
        while not self._abandoned and self._slots.are_free:
            batch = self._batcher.take(
                time.monotonic(),
                more_waiting=self._answers.more_waiting,
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
            self.call_later(due, self._on_age)

    def _on_age(self) -> None:
        self._age_timer_is_set = False
        self._dispatch()

    def _start(self, batch: Batch[Held]) -> None:
        kept = batch.items
        if state.revoked or any(held.request is not None for held in kept):
            kept = tuple(held for held in kept if not self._dropped_meanwhile(held))
        if kept:
            count = sum(held.update_count for held in kept)
            self._slots.begin(replace(batch, items=kept, update_count=count))

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
            self._answers.forget(held.tag)
        return dropped

    def _delivered(self, held: Held) -> Any:
        """Return what kombu would have delivered."""
        if self._answers.channel is not None and isinstance(held.delivered, Fetched):
            return self._answers.channel.understand(held.delivered)
        return held.delivered

    def call_later(self, seconds: float, function: Any, *args: Any) -> Any:
        """Call a function in the consumer's thread, and return what can be cancelled."""
        timer, hub = self._consumer.timer, self._consumer.hub
        if hub is not None:
            # Called directly: the event loop's timers run in its own thread, and
            # what they schedule with call_soon waits for the next thing to happen.
            return timer.call_after(seconds, function, args)
        return timer.call_after(seconds, self._consumer.call_soon, (function, *args))

    # -- answered ------------------------------------------------------------

    def on_slot_free(self) -> None:
        """Let the next batch leave, if it is time."""
        self._dispatch()

    def on_settled(self, batch: Batch[Held], done: Done) -> None:
        """Acknowledge a batch that is committed and published."""
        measuring.settled(batch, done, self._answers.acknowledge(batch.items))
        state.total_count[self._task.name] += len(batch.items)
        state.all_total_count[0] += len(batch.items)
        _log_batch(batch, done)

    # -- stopped -------------------------------------------------------------

    @property
    def load(self) -> Load:
        """Return how much is held, as any thread may ask."""
        return Load(len(self._batcher), self._batcher.update_count, *self._slots.load)

    @property
    def busy(self) -> bool:
        """Return whether anything is held or in a slot that is still to be finished."""
        return not self._abandoned and bool(len(self._slots) or len(self._batcher))

    def stop(self) -> None:
        """Let whatever is held leave as soon as slots are free, and try nothing twice."""
        self._stopping = True
        self._slots.stop()
        self._dispatch()

    def abandon(self) -> None:
        """Forget what is held; the broker delivers it again."""
        self._abandoned = True
        self._slots.abandon()


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
