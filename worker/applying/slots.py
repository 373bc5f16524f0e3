"""The batches that are in slots of the pool, and what becomes of each.

A batch keeps its slot until it is settled, or until it goes back to the broker.
While a server is away it is tried again, with a growing pause: slots fill,
fetching stops, and the rest stays at the broker. Everything here runs in the
consumer's thread; slots report back through its event loop. When batches leave,
and how messages are acknowledged, is the strategy's.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger

from service.trouble import Trouble
from worker.applying.apart import byte_count, part_off, pause_seconds, split
from worker.applying.attempt import work
from worker.applying.doubts import Doubts
from worker.applying.late import Late
from worker.job import Done, Job, NotDone, job_of
from worker.telling import measuring
from worker.telling.log_lines import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from service.batching import Batch
    from service.settings import Settings
    from worker.held import Held
    from worker.seams.loop import Loop
    from worker.telling.task_events import TaskEvents
    from worker.telling.tracing import Traces
    from worker.transport.broker import Deliveries

logger = get_logger(__name__)


class Slots:
    """The slots of one connection's strategy."""

    def __init__(
        self,
        *,
        consumer: Any,
        loop: Loop,
        deliveries: Deliveries,
        task_events: TaskEvents,
        traces: Traces,
        on_settled: Callable[[Batch[Held], Sequence[Held], Done], None],
        give_back: Callable[[Sequence[Held], bool], None],
        on_free: Callable[[], None],
        settings: Settings,
    ) -> None:
        """Begin with every slot free.

        Args:
            consumer: Celery's, which has the pool.
            loop: The consumer's.
            deliveries: Where messages are paused.
            task_events: What monitors see.
            traces: The spans of batches.
            on_settled: Takes a batch that is committed and published, and what of it was dropped.
            give_back: Puts messages back; says whether a slot died with them.
            on_free: Is called when a slot has become free.
            settings: How long to pause between two tries, and how large a batch is.
        """
        self._consumer, self._loop, self._deliveries = consumer, loop, deliveries
        self._task_events, self._traces = task_events, traces
        self._on_settled, self._give_back, self._on_free = on_settled, give_back, on_free
        self._retry_max_wait_seconds = settings.retry_max_wait_seconds
        self._batch_max_updates = settings.batch_max_updates
        self._batch_max_wait_seconds = settings.batch_max_wait_seconds
        self._batches: dict[int, Batch[Held]] = {}
        # Since when the first try of each is under way, in seconds of the monotonic clock.
        self._awaited: dict[int, float] = {}
        self._pausing: dict[int, tuple[Any, Batch[Held]]] = {}
        self._trouble = Trouble()
        self._unexpected_in_a_row = 0
        self._stopping = False
        self._abandoned = False
        self._tries_begun = 0
        self._in_slots = self._bytes_in_slots = 0
        apart: dict[str, Any] = {
            "loop": loop,
            "deliveries": deliveries,
            "slot_is_free": self.are_free,
            "begin": self._begin_again,
            "retry_max_wait_seconds": settings.retry_max_wait_seconds,
        }
        self._late = Late(**apart)
        self._doubts = Doubts(
            **apart, most=self._most_in_doubt, leave_to_broker=self._leave_to_broker
        )

    def are_free(self) -> bool:
        """Return whether another batch can begin."""
        return len(self._batches) < int(self._consumer.pool.num_processes)

    def awaited(self) -> float:
        """Return which part of the slots has a batch that may soon be over.

        It is none that is tried again, nor one that has taken longer than others are to wait.
        """
        late = time.monotonic() - self._batch_max_wait_seconds
        awaited = sum(begun > late for begun in self._awaited.values())
        return awaited / max(int(self._consumer.pool.num_processes), 1)

    def __len__(self) -> int:
        return len(self._batches) + len(self._doubts) + len(self._late)

    def __iter__(self) -> Iterator[Held]:
        for batch in self._batches.values():
            yield from batch.items
        yield from self._doubts
        yield from self._late

    @property
    def update_count(self) -> int:
        """Return how many updates are in slots, or held apart."""
        return self._in_slots + self.apart_update_count

    @property
    def byte_count(self) -> int:
        """Return how much memory their messages take, about."""
        return self._bytes_in_slots + byte_count(self._doubts) + byte_count(self._late)

    @property
    def apart_update_count(self) -> int:
        """Return how many updates are in doubt, or late: they are held, and take no slot."""
        return self._doubts.update_count + self._late.update_count

    @property
    def load(self) -> tuple[int, int, int]:
        """Return how many messages, updates and batches are in slots, as any thread may ask.

        What is held apart takes no slot, and counts with the messages.
        """
        batches = list(self._batches.values())
        messages = sum(len(batch.items) for batch in batches)
        messages += sum(1 for _ in self._doubts) + sum(1 for _ in self._late)
        return messages, self.update_count, len(batches)

    def begin(self, batch: Batch[Held]) -> None:
        """Let a free slot work on a batch."""
        self._task_events.started(batch.items)
        self._awaited[batch.number] = time.monotonic()
        self._enter(batch, others_succeed=False)

    def stop(self) -> None:
        """Try nothing twice from now on."""
        self._stopping = True
        for entry, batch in self._pausing.values():
            entry.cancel()
            self._go_back(batch)
        self._pausing.clear()
        for batch in (*self._doubts.stop(), *self._late.stop()):
            self._return(batch)

    def abandon(self) -> None:
        """Forget everything; a late report is ignored, for its delivery tags are dead."""
        self._abandoned = True
        self._doubts.abandon()
        self._late.abandon()
        self._traces.abandon()
        measuring.tries_are_forgotten()

    # -- one batch ---------------------------------------------------------------

    def _enter(self, batch: Batch[Held], *, others_succeed: bool) -> None:
        self._batches[batch.number] = batch
        self._in_slots += batch.update_count
        self._bytes_in_slots += byte_count(batch.items)
        self._traces.begin(batch)
        self._send(batch, job_of(batch.items, others_succeed=others_succeed), tries=1)

    def _begin_again(self, batch: Batch[Held], others_succeed: bool = False) -> None:
        measuring.retried()
        self._enter(batch, others_succeed=others_succeed)

    def _send(self, batch: Batch[Held], job: Job, tries: int) -> None:
        measuring.try_begins(job)
        self._tries_begun += 1
        number = self._tries_begun

        def report(result: Any) -> None:
            measuring.try_ends(job, result)
            self._loop.call_soon(self._on_report, batch, job, tries, number, result)

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

    def _on_report(
        self, batch: Batch[Held], job: Job, tries: int, number: int, result: Any
    ) -> None:
        if self._abandoned:
            return
        self._traces.note(batch, result)
        if isinstance(result, Done):
            self._leave(batch)
            doubtful = self._tell(batch, result)
            self._on_success()
            if result.changed:
                self._doubts.note_success(number, result.changed, self._tries_begun)
            if doubtful is not None and result.doubt is not None:
                self._hold_apart(doubtful, result.doubt, number)
            self._freed()
        elif not isinstance(result, NotDone):
            # The slot's process died: of the batch, for all that is known.
            logger.error("batch lost its slot", extra=failure_of(batch, str(result)))
            self._go_back(batch, died=True)
        elif self._stopping:
            logger.warning("batch goes back", extra=failure_of(batch, result.error))
            self._go_back(batch)
        elif result.in_doubt or result.took_too_long:
            self._leave(batch)
            self._traces.fail(batch.number)
            self._hold_apart(batch, result, number)
            self._freed()
        elif result.expected or self._deliveries.counts_returns:
            self._hold_and_try_again(batch, job, tries, result)
        else:
            self._go_back_later(batch, result)

    def _tell(self, batch: Batch[Held], done: Done) -> Batch[Held] | None:
        """Tell what became of a batch, and return what of it is in doubt."""
        # Each counts the places of the whole batch.
        settled, _ = split(batch, done.doubtful | done.dropped)
        _, dropped = split(batch, done.dropped)
        _, doubtful = split(batch, done.doubtful)
        self._on_settled(settled, dropped.items if dropped is not None else (), done)
        return doubtful

    def _leave(self, batch: Batch[Held]) -> None:
        del self._batches[batch.number]
        self._awaited.pop(batch.number, None)
        self._late.note_end(batch.number)
        self._in_slots -= batch.update_count
        self._bytes_in_slots -= byte_count(batch.items)

    def _freed(self) -> None:
        self._doubts.advance()
        self._on_free()
        self._late.advance()

    def _hold_apart(self, batch: Batch[Held], result: NotDone, number: int) -> None:
        """Hold without a slot what others are not to wait for."""
        if self._stopping:
            self._return(batch)
            return
        if self._trouble.note(result.kind, time.monotonic()):
            logger.warning("batches are held", extra=failure_of(batch, result.error))
        if result.took_too_long:
            self._late.add(batch)
        else:
            self._doubts.add(batch, number, self._tries_begun)

    def _most_in_doubt(self) -> int:
        """Return how many updates in doubt may stay, so that there is room for others."""
        return int(self._consumer.pool.num_processes) * self._batch_max_updates // 2

    def _leave_to_broker(self, batch: Batch[Held]) -> None:
        """Let the broker hold what is in doubt, as it does what is delayed."""
        self._task_events.given_back(batch.items)
        for held in batch.items:
            stay = partial(self._stay_in_doubt, batch, held)
            self._deliveries.delay(held.delivery, self._retry_max_wait_seconds, stay)
        self._deliveries.fit()

    def _stay_in_doubt(self, batch: Batch[Held], held: Held) -> None:
        if not self._abandoned:
            # As if it had failed just now, beside nothing.
            self._doubts.add(part_off(batch, [held]), self._tries_begun + 1, self._tries_begun)

    def _on_success(self) -> None:
        self._unexpected_in_a_row = 0
        lasted = self._trouble.over(time.monotonic())
        if lasted is not None:
            fields = {"seconds": round(lasted, 1), "tries": self._trouble.tries}
            logger.log(self._trouble.level, "batches are settled again", extra=fields)

    def _hold_and_try_again(
        self, batch: Batch[Held], job: Job, tries: int, result: NotDone
    ) -> None:
        """Keep the slot and try the same batch later: meanwhile fetching comes to a stop."""
        if self._trouble.note(result.kind, time.monotonic()):
            logger.warning("batches are held", extra=failure_of(batch, result.error))
        measuring.retried()
        job = replace(job, published=result.published)
        self._pause(batch, tries, self._send, batch, job, tries + 1)

    def _go_back_later(self, batch: Batch[Held], result: NotDone) -> None:
        """Keep the slot for a while, so that a worker that can do nothing does it slowly."""
        self._unexpected_in_a_row += 1
        is_news = self._trouble.note(result.kind, time.monotonic(), logging.ERROR)
        level = logging.ERROR if is_news else logging.DEBUG
        logger.log(level, "batch goes back", extra=failure_of(batch, result.error))
        self._pause(batch, self._unexpected_in_a_row, self._go_back, batch)

    def _pause(self, batch: Batch[Held], tries: int, then: Any, *args: Any) -> None:
        pause = pause_seconds(tries, self._retry_max_wait_seconds)
        self._awaited.pop(batch.number, None)
        # Held for as long as the trouble lasts, which is not the messages' fault.
        self._deliveries.pause([held.delivery for held in batch.items])
        entry = self._loop.call_later(pause, self._after_pause, batch, then, *args)
        self._pausing[batch.number] = (entry, batch)

    def _after_pause(self, batch: Batch[Held], then: Any, *args: Any) -> None:
        # A stop may have ended the pause before.
        if not self._abandoned and batch.number in self._pausing:
            del self._pausing[batch.number]
            self._deliveries.resume([held.delivery for held in batch.items])
            then(*args)

    def _go_back(self, batch: Batch[Held], *, died: bool = False) -> None:
        self._leave(batch)
        self._traces.fail(batch.number)
        self._return(batch, died=died)
        self._freed()

    def _return(self, batch: Batch[Held], *, died: bool = False) -> None:
        measuring.given_back()
        self._give_back(batch.items, died)
