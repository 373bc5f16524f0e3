"""Celery's strategy seam: messages in, batches to the pool, acknowledgements out.

It puts the stages of an update's way together: received (`worker.understanding`),
batched (`worker.batching`), applied in a slot (`worker.applying`), acknowledged when
the slot says that the batch is committed and published (`worker.acknowledging`).
Everything here runs in the consumer's thread.

There is one strategy a connection. When the connection is lost its strategy is
abandoned with whatever it holds: the broker delivers that again, and a late
report of a slot is ignored, for its delivery tags are dead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.worker import state

from service.batching import Batcher
from service.settings import Settings, load_settings
from worker.acknowledging import Acknowledgements
from worker.applying.apart import part
from worker.applying.slots import Slots
from worker.batching.breaker import SAMPLE, Breaker
from worker.batching.dispatcher import Dispatcher
from worker.batching.room import Amount, Room
from worker.held import Load
from worker.seams.loop import Loop
from worker.telling import measuring
from worker.telling.log_lines import log_refused, log_settled
from worker.telling.task_events import TaskEvents
from worker.telling.tracing import Traces
from worker.transport.broker import Receiver, broker_of
from worker.transport.delivery import Received
from worker.understanding.intake import Intake, Onward
from worker.understanding.options import Requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from service.batching import Batch
    from worker.held import Held
    from worker.job import Done
    from worker.transport.delivery import RawDelivery


class BatchStrategy:
    """Takes the messages of one connection and sees them through."""

    def __init__(
        self, task: Any, app: Any, consumer: Any, settings: Settings | None = None
    ) -> None:
        """Start with nothing held; Celery makes one at every connection."""
        settings = settings or load_settings()
        self._task, self._consumer, self._settings = task, consumer, settings
        loop, broker = Loop(consumer), broker_of(settings.broker_url)
        self._task_events = TaskEvents(
            consumer, enabled=settings.task_events, call_later=loop.call_later
        )
        self._room = Room(
            max_updates=self._most_updates, largest_message=settings.message_max_updates
        )
        self._breaker = Breaker(settings.dead_letter_max_share)
        # None, as long as there are no slots.
        self._updates_apart: Callable[[], int] = int
        self._deliveries = broker.deliveries(
            consumer,
            Receiver(
                room=lambda: self._room.messages(self._held),
                capacity=lambda: self._room.messages(Amount(self._updates_apart(), 0)),
                take=self._take,
                is_overfull=lambda: self._room.is_overfull(self._held),
                set_aside=self._set_aside,
                renewed=measuring.renewed,
                restored=measuring.restored,
            ),
        )
        self._acknowledgements = Acknowledgements(self._deliveries, self._task_events)
        self._intake = Intake(
            deliveries=self._deliveries,
            requests=Requests(task, app, consumer),
            task_events=self._task_events,
            loop=loop,
            prefetch=consumer,
            onward=Onward(
                hold_new=self._hold_new,
                hold_due=self._hold_due,
                drop=self._acknowledgements.drop,
                learn=self._learn_size,
            ),
            max_updates=settings.message_max_updates,
        )
        self._slots = Slots(
            consumer=consumer,
            loop=loop,
            deliveries=self._deliveries,
            task_events=self._task_events,
            traces=Traces(broker.name),
            on_settled=self._on_settled,
            give_back=self._give_back,
            on_free=self._on_free,
            settings=settings,
        )
        self._updates_apart = lambda: self._slots.apart_update_count
        self._waiting = Dispatcher(
            Batcher(
                max_updates=settings.batch_max_updates,
                max_wait_seconds=settings.batch_max_wait_seconds,
            ),
            loop,
            slot_is_free=self._slots.are_free,
            slots_awaited=self._slots.awaited,
            more_waiting=lambda: self._deliveries.more_waiting,
            rate_limit=self._rate_limit,
            begin=self._begin,
        )
        self._abandoned = False

    @property
    def _most_updates(self) -> int:
        """Return how many updates are held: a batch for each slot, and the next one."""
        return (int(self._consumer.pool.num_processes) + 1) * self._settings.batch_max_updates

    @property
    def _held(self) -> Amount:
        waiting, slots = self._waiting, self._slots
        return Amount(
            waiting.update_count + slots.update_count, waiting.byte_count + slots.byte_count
        )

    def _rate_limit(self) -> float:
        bucket = self._consumer.task_buckets.get(self._task.name)
        return bucket.fill_rate if bucket is not None else 0.0

    # -- what Celery changes ---------------------------------------------------

    def on_pool_resized(self) -> None:
        """Hold as much as there are slots for now."""
        self._room.max_updates = self._most_updates
        self._deliveries.fit()
        self._waiting.dispatch()

    def on_rate_limit(self) -> None:
        """Begin anew with another rate limit, or with none."""
        self._waiting.on_rate_limit()

    def on_resumed(self) -> None:
        """Let through what lies first: somebody has asked for it to be consumed again."""
        self._breaker.resume()

    # -- received --------------------------------------------------------------

    def receive(self, message: Any) -> None:
        """Take one message as kombu delivered it, whatever it is."""
        self._intake.accept(Received(message))

    def refuse(self, message: Any, error: str) -> None:
        """Answer a message that carries no updates, in turn with the others."""
        self._intake.refuse(Received(message), error)

    def _take(self, came: Iterable[RawDelivery]) -> int:
        return self._intake.take(came)

    def _set_aside(self, delivery: Received, reason: str) -> None:
        self._intake.set_aside(delivery, reason)

    def _hold_new(self, came: Sequence[Held]) -> None:
        if not self._abandoned:
            self._waiting.hold(came)
            self._learn(came)
            self._waiting.dispatch_soon()

    def _hold_due(self, held: Held) -> None:
        self._waiting.hold([held])
        # Called by a timer, whose thread nothing wakes.
        self._waiting.dispatch()

    def _learn_size(self, held: Held) -> None:
        self._room.learn([held.update_count], [held.byte_count])
        self._deliveries.fit()

    def _learn(self, came: Sequence[Held]) -> None:
        self._task_events.received(came)
        updates = [held.update_count for held in came]
        self._room.learn(updates, [held.byte_count for held in came])
        self._deliveries.fit()
        if self._deliveries.counts_returns and self._room.is_overfull(self._held):
            new = set(map(id, came))
            excess = self._waiting.remove(lambda held: id(held) in new)
            self._acknowledgements.give_back(excess, no_room=True)
        elif self._breaker.note([held.invalid_share for held in came]):
            self._refuse_more(came)

    def _refuse_more(self, came: Sequence[Held]) -> None:
        """Give back what is not valid, but for a sample; the rest of what is held is settled."""
        if self._breaker.is_tripped:
            unwanted = [held for held in came if held.invalid_share > 0]
        else:
            measuring.tripped()
            self._consumer.stop_consuming(
                f"{self._breaker.share:.0%} of the latest messages are not valid"
            )
            self._breaker.trip()
            unwanted = [held for held in self._waiting if held.invalid_share > 0][SAMPLE:]
        ids = set(map(id, unwanted))
        self._give_back(self._waiting.remove(lambda held: id(held) in ids))

    # -- batched, applied, acknowledged ------------------------------------------

    def _begin(self, batch: Batch[Held]) -> None:
        kept = batch.items
        if state.revoked or any(held.request is not None for held in kept):
            looked_at = [self._intake.look_again(held) for held in kept]
            kept = tuple(held for held in looked_at if not held.is_to_be_dropped)
            if dropped := [held for held in looked_at if held.is_to_be_dropped]:
                self._acknowledgements.drop(dropped)
        if kept:
            with self._deliveries.begin([held.delivery for held in kept]):
                self._slots.begin(batch if kept is batch.items else part(batch, kept))

    def _on_settled(self, batch: Batch[Held], dropped: Sequence[Held], done: Done) -> None:
        if given_up := [held.refused(held.refusal) for held in dropped if held.refusal]:
            self._refuse(given_up)
        if dropped := [held for held in dropped if not held.refusal]:
            self._acknowledgements.drop(dropped)
        if batch.items:
            self._tell_settled(batch, done)

    def _refuse(self, given_up: Sequence[Held]) -> None:
        """Answer what came too often and was not applied before, as has been looked up."""
        for held in given_up:
            log_refused(held.message)
        self._waiting.hold(given_up)
        self._waiting.dispatch_soon()

    def _tell_settled(self, batch: Batch[Held], done: Done) -> None:
        seconds = self._acknowledgements.acknowledge(batch.items)
        measuring.settled(batch, done, seconds)
        state.total_count[self._task.name] += len(batch.items)
        state.all_total_count[0] += len(batch.items)
        self._task_events.settled(batch, done)
        log_settled(batch, done)

    def _give_back(self, items: Sequence[Held], died: bool = False) -> None:
        self._acknowledgements.give_back(items, died=died)

    def _on_free(self) -> None:
        self._waiting.dispatch()

    # -- looked at -------------------------------------------------------------

    def in_slots(self) -> Iterator[Held]:
        """Yield the messages that slots work on."""
        return iter(self._slots)

    def waiting(self) -> Iterator[Held]:
        """Yield the messages that wait for a slot."""
        return iter(self._waiting)

    def request_of(self, held: Held) -> Any:
        """Return Celery's view of a message; see `Intake.request_of`."""
        return self._intake.request_of(held)

    @property
    def load(self) -> Load:
        """Return how much is held, as any thread may ask."""
        return Load(len(self._waiting), self._waiting.update_count, *self._slots.load)

    # -- stopped ---------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Return whether anything is held or in a slot that is still to be finished."""
        return not self._abandoned and bool(len(self._slots) or len(self._waiting))

    def stop(self) -> None:
        """Let whatever is held leave as soon as slots are free, and try nothing twice."""
        self._waiting.stop()
        self._slots.stop()
        if self._rate_limit():
            self._give_back(self._waiting.remove(lambda _: True))
        self._waiting.dispatch()

    def abandon(self) -> None:
        """Forget what is held; the broker delivers it again."""
        self._abandoned = True
        for stage in (self._deliveries, self._intake, self._waiting, self._slots):
            stage.abandon()
        self._task_events.flush()
