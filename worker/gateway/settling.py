"""Requests, settled: at once, or together with others that came meanwhile.

A slot is a thread that applies and publishes one batch at a time. Requests that come
while one is at it share the next batch, and its transaction, which is what makes
many small ones fast (docs/adr/0013-shared-transactions.md). They do not wait for one
that is late, as it is when somebody has locked a row, nor when they fill a batch. A
request is never split, and is answered with the outcomes of its own updates.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tasks.settle import dead_letters, settle_batch
from worker.batching import Batch, Batcher
from worker.gateway import metrics
from worker.gateway.accounts import EventsOfAccounts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tasks.messages import Message
    from tasks.outcomes import Outcome
    from worker.gateway.publishing import PatientPublisher
    from worker.service import Service

SLOTS = 8
# Longer than a batch takes whose rows are not locked, on a busy machine.
LATE_SECONDS = 0.1
# So many updates may wait for a slot: seconds of work, and some hundred bytes each.
MAX_WAITING_UPDATES = 100_000

Answer = list["Outcome"] | Exception


class BusyError(Exception):
    """More updates wait than can be settled soon."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A message, of whom it may see the events, and who waits for its outcomes."""

    message: Message
    accounts: frozenset[str] | None
    answer: asyncio.Future[list[Outcome]]

    @property
    def update_count(self) -> int:
        """Return how many updates it carries."""
        return len(self.message.updates)


class Settler:
    """Settles the messages of one event loop."""

    def __init__(self, service: Service, publisher: PatientPublisher, *, max_updates: int) -> None:
        """Start no thread yet.

        Args:
            service: Where to apply.
            publisher: Where to publish.
            max_updates: How many updates are applied together; one message may carry more.
        """
        self._service, self._publisher = service, publisher
        self._waiting: Batcher[Asked] = Batcher(max_updates=max_updates, max_wait_seconds=0)
        self._threads = ThreadPoolExecutor(SLOTS, thread_name_prefix="slot")
        self._free = SLOTS
        self._awaited: set[int] = set()

    async def settle(self, message: Message, accounts: frozenset[str] | None) -> list[Outcome]:
        """Settle a message: committed and published on return.

        Args:
            message: All of its updates are valid.
            accounts: Whose events there are, or None for all.

        Returns:
            An outcome for each of its updates, in order, with the event's payload.

        Raises:
            BusyError: Nothing was applied.
            DatabaseError: See `tasks.settle.settle_batch`.
            OutcomesNotPublishedError: It may be committed. Then the same message is
                answered later, and its outcomes are published meanwhile.
        """
        if self._waiting.update_count >= MAX_WAITING_UPDATES:
            raise BusyError
        asked = Asked(message, accounts, asyncio.get_running_loop().create_future())
        self._waiting.add([asked], time.monotonic())
        self._fill_slots()
        return await asked.answer

    def close(self) -> None:
        """Wait for the threads."""
        self._threads.shutdown()

    def _fill_slots(self) -> None:
        loop = asyncio.get_running_loop()
        while self._may_leave() and (batch := self._waiting.take(time.monotonic())):
            self._free -= 1
            self._awaited.add(batch.number)
            work = loop.run_in_executor(self._threads, self._work, batch)
            late = loop.call_later(LATE_SECONDS, self._await_no_more, batch)
            work.add_done_callback(partial(self._answer, batch, late))

    def _may_leave(self) -> bool:
        is_full = self._waiting.update_count >= self._waiting.max_updates
        return bool(self._free) and (is_full or not self._awaited)

    def _await_no_more(self, batch: Batch[Asked]) -> None:
        self._awaited.discard(batch.number)
        self._fill_slots()

    def _answer(
        self, batch: Batch[Asked], late: asyncio.TimerHandle, work: asyncio.Future[list[Answer]]
    ) -> None:
        late.cancel()
        self._free += 1
        self._await_no_more(batch)
        error = work.exception()
        answers = [error] * len(batch.items) if error else work.result()
        for asked, answer in zip(batch.items, answers, strict=True):
            if asked.answer.done():
                continue
            if isinstance(answer, BaseException):
                asked.answer.set_exception(answer)
            else:
                asked.answer.set_result(answer)

    # -- in a slot's thread ---------------------------------------------------------------------

    def _work(self, batch: Batch[Asked]) -> list[Answer]:
        metrics.UPDATES_TOGETHER.observe(batch.update_count)
        answers: dict[Asked, Answer] = {}
        for accounts, together in _by_accounts(batch.items):
            try:
                told: Sequence[Answer] = self._settle([a.message for a in together], accounts)
            except Exception as error:  # noqa: BLE001 - whoever asked is told
                told = [error] * len(together)
            answers |= zip(together, told, strict=True)
        return [answers[asked] for asked in batch.items]

    def _settle(
        self, messages: list[Message], accounts: frozenset[str] | None
    ) -> list[list[Outcome]]:
        self._publisher.catch_up()
        events: Any = self._service.database
        if accounts is not None:
            events = EventsOfAccounts(events, accounts)
        told = settle_batch(messages, events, with_payload=True)
        letters = [
            letter
            for message, outcomes in zip(messages, told, strict=True)
            for letter in dead_letters(message, outcomes, {"door": "http"})
        ]
        outcomes = [outcome for each in told for outcome in each]
        if not self._service.outcome_payload:
            self._publisher.publish([each.without_payload() for each in outcomes], letters)
        else:
            self._publisher.publish(outcomes, letters)
        for reason, count in Counter(each.reason for each in outcomes).items():
            metrics.UPDATES_ANSWERED.labels(reason or "updated").inc(count)
        return told


def _by_accounts(
    items: Sequence[Asked],
) -> Iterator[tuple[frozenset[str] | None, list[Asked]]]:
    grouped: dict[frozenset[str] | None, list[Asked]] = {}
    for asked in items:
        grouped.setdefault(asked.accounts, []).append(asked)
    yield from grouped.items()
