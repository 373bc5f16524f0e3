"""Celery's strategy seam: messages in, batches to the pool, acknowledgements out.

An update's way through this module: received (`worker.understanding.intake`), batched
(`service.batching`), sent to a pool slot (`worker.applying.slots`), acknowledged when the
slot says that the batch is committed and published. Everything here runs in the
consumer's thread.

There is one strategy a connection. When the connection is lost its strategy is
abandoned with whatever it holds: the broker delivers that again, and a late
report of a slot is ignored, for its delivery tags are dead.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from celery.worker import state

from service.batching import Batch, Batcher
from service.settings import Settings, load_settings
from worker.acknowledging.answers import Answers
from worker.applying.slots import Slots
from worker.batching.breaker import Breaker
from worker.batching.held import Held, Load, Room, make_request
from worker.batching.pacing import Pacing
from worker.telling import measuring
from worker.telling.log_lines import log_settled
from worker.telling.task_events import TaskEvents
from worker.telling.tracing import Traces
from worker.transport.redis import Channel
from worker.understanding.intake import Intake

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from worker.applying.slot import Done

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
        self.consumer = consumer
        self._settings = settings
        self._batcher: Batcher[Held] = Batcher(
            max_updates=settings.batch_max_updates,
            max_wait_seconds=settings.batch_max_wait_seconds,
        )
        self._room = Room(
            max_updates=self._most_updates, largest_message=settings.message_max_updates
        )
        self._answers = Answers(consumer)
        self.intake = Intake(
            self,
            self._answers,
            partial(make_request, task=task, app=app, consumer=consumer),
            max_updates=settings.message_max_updates,
        )
        self.events = TaskEvents(consumer, enabled=settings.task_events, call_later=self.call_later)
        self._slots = Slots(
            *(self, self._answers, consumer, Traces(settings.broker_url)),
            retry_max_wait_seconds=settings.retry_max_wait_seconds,
        )
        self._breaker = Breaker(settings.dead_letter_max_share)
        self._pacing = Pacing()
        self._timer_is_set = False
        self._dispatch_is_due = False
        self._stopping = False
        self.abandoned = False

    def attach(self, channel: Any) -> None:
        """Use what our transport offers; with another one the strategy does without.

        Args:
            channel: The one that messages will come from, before any has.
        """
        self._answers.attach(channel, self._room)
        if isinstance(channel, Channel):
            channel.room = self._messages_there_is_room_for
            channel.take = self.intake.take
            channel.on_set_aside = self.intake.on_set_aside

    def on_pool_resized(self) -> None:
        """Hold as much as there are slots for now."""
        self._room.max_updates = self._most_updates
        self._answers.adapt()
        self._dispatch()

    def on_rate_limit(self) -> None:
        """Begin anew with another rate limit, or with none."""
        self._pacing = Pacing()
        self._dispatch()

    @property
    def _most_updates(self) -> int:
        """Return how many updates are held: a batch for each slot, and the next one."""
        return (int(self.consumer.pool.num_processes) + 1) * self._settings.batch_max_updates

    def _messages_there_is_room_for(self) -> int:
        return self._room.messages(self._batcher.update_count + self._slots.update_count)

    def _messages_held_exceed_the_room(self) -> bool:
        # Those on their way when the messages became larger; there is no room for them.
        held = self._batcher.update_count + self._slots.update_count
        return held > OVERFULL * self._room.max_updates

    # -- received ------------------------------------------------------------

    def __call__(self, delivered: Any, payload: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        """Take one message from the broker; Celery calls this."""
        self.intake.accept(delivered, payload)

    def refuse(self, delivered: Any, error: str) -> None:
        """Answer a message that carries no updates, in turn with the others."""
        self.intake.refuse(delivered, error)

    def hold(self, came: Sequence[Held], *, is_new: bool = True) -> None:
        """Hold messages until they leave in a batch.

        Args:
            came: In order.
            is_new: Whether they have just come, and were not put off before.
        """
        if self.abandoned:
            return
        self._batcher.add(came, time.monotonic())
        if is_new:
            self._learn(came)
            self._dispatch_soon()
        else:
            # Called by a timer, whose thread nothing wakes.
            self._dispatch()

    def _learn(self, came: Sequence[Held]) -> None:
        self.events.received(came)
        self._room.learn(held.update_count for held in came)
        self._answers.adapt()
        if self._answers.counts_returns and self._messages_held_exceed_the_room():
            self._return(self._batcher.remove(lambda other: any(other is held for held in came)))
        elif self._breaker.note([held.invalid_share for held in came]):
            self._stop_consuming()

    # -- batched -------------------------------------------------------------

    def _stop_consuming(self) -> None:
        """Give back what is not valid; the rest of what is held is settled."""
        measuring.tripped()
        self.consumer.stop_consuming(
            f"{self._breaker.share:.0%} of the latest messages are not valid"
        )
        self._breaker.reset()
        self._return(self._batcher.remove(lambda held: held.invalid_share > 0))

    def _return(self, items: Sequence[Held]) -> None:
        self._answers.give_back(items)
        self.events.given_back(items)

    def _dispatch_soon(self) -> None:
        # Once a turn of the event loop: messages that came together leave together.
        if not self._dispatch_is_due:
            self._dispatch_is_due = True
            self.consumer.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatch_is_due = False
        while not self.abandoned and self._slots.are_free:
            now = time.monotonic()
            limit = self._rate_limit
            if limit and len(self._batcher) and (pause := self._pacing.wait_seconds(now)):
                self._dispatch_in(pause)
                return
            batch = self._batcher.take(
                now,
                more_waiting=self._answers.more_waiting,
                stopping=self._stopping,
                max_items=self._pacing.most(limit) if limit else None,
            )
            if batch is None:
                self._wait_for_age()
                return
            if limit:
                self._pacing.spend(len(batch.items), limit, now)
            self._start(batch)

    @property
    def _rate_limit(self) -> float:
        """Return how many messages a second may leave, 0 if there is no limit."""
        bucket = self.consumer.task_buckets.get(self._task.name)
        return bucket.fill_rate if bucket is not None else 0.0

    def _wait_for_age(self) -> None:
        due = self._batcher.due_in_seconds(time.monotonic())
        if due is not None:
            self._dispatch_in(due)

    def _dispatch_in(self, seconds: float) -> None:
        if not self._timer_is_set:
            self._timer_is_set = True
            self.call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer_is_set = False
        self._dispatch()

    def _start(self, batch: Batch[Held]) -> None:
        kept = batch.items
        if state.revoked or any(held.request is not None for held in kept):
            kept = tuple(held for held in kept if not self.intake.drops_meanwhile(held))
        if kept:
            count = sum(held.update_count for held in kept)
            self._slots.begin(replace(batch, items=kept, update_count=count))

    def call_later(self, seconds: float, function: Any, *args: Any) -> Any:
        """Call a function in the consumer's thread, and return what can be cancelled."""
        timer, hub = self.consumer.timer, self.consumer.hub
        if hub is not None:
            # Called directly: the event loop's timers run in its own thread, and
            # what they schedule with call_soon waits for the next thing to happen.
            return timer.call_after(seconds, function, args)
        return timer.call_after(seconds, self.consumer.call_soon, (function, *args))

    # -- answered ------------------------------------------------------------

    def on_slot_free(self) -> None:
        """Let the next batch leave, if it is time."""
        self._dispatch()

    def on_settled(self, batch: Batch[Held], done: Done) -> None:
        """Acknowledge a batch that is committed and published."""
        measuring.settled(batch, done, self._answers.acknowledge(batch.items))
        state.total_count[self._task.name] += len(batch.items)
        state.all_total_count[0] += len(batch.items)
        self.events.settled(batch, done)
        log_settled(batch, done)

    # -- looked at -----------------------------------------------------------

    def in_slots(self) -> Iterator[Held]:
        """Yield the messages that slots work on."""
        return iter(self._slots)

    def waiting(self) -> Iterator[Held]:
        """Yield the messages that wait for a slot."""
        return iter(self._batcher)

    # -- stopped -------------------------------------------------------------

    @property
    def load(self) -> Load:
        """Return how much is held, as any thread may ask."""
        return Load(len(self._batcher), self._batcher.update_count, *self._slots.load)

    @property
    def busy(self) -> bool:
        """Return whether anything is held or in a slot that is still to be finished."""
        return not self.abandoned and bool(len(self._slots) or len(self._batcher))

    def stop(self) -> None:
        """Let whatever is held leave as soon as slots are free, and try nothing twice."""
        self._stopping = True
        self._slots.stop()
        if self._rate_limit:
            self._return(self._batcher.remove(lambda _: True))
        self._dispatch()

    def abandon(self) -> None:
        """Forget what is held; the broker delivers it again."""
        self.abandoned = True
        self._slots.abandon()
        self.events.flush()
