"""Requests, settled: at once, or together with others that came meanwhile.

A slot is a thread that applies and publishes one batch at a time. Requests that come
while one is at it share the next batch, and its transaction, which is what makes
many small ones fast (docs/adr/0013-shared-transactions.md). They do not wait for one
that is late, as it is when somebody has locked a row, nor when they fill a batch, nor
for those who may see other accounts: these find a slot also where all others are taken
by batches that are late. While several ask, none has more than its share of the slots
(`gateway.events.sharing`). A request is never split, and is answered with the
outcomes of its own updates.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gateway import metrics
from gateway.access.accounts import EventsOfAccounts
from gateway.events.sharing import MAX_WAITING_UPDATES, SLOTS, Sharing
from gateway.requests.fairness import is_too_much
from gateway.requests.problems import BusyError
from gateway.requests.retrying import insist
from service.batching import Batch, Batcher
from tasks.settle import dead_letters, settle_batch

if TYPE_CHECKING:
    from gateway.events.publishing import PatientPublisher
    from service.connections import Service
    from settle_client.outcome import Outcome
    from tasks.messages import Message

    Accounts = frozenset[str] | None

# What a dead letter says of how its update came.
DELIVERY = {"door": "http"}


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A message, and who waits for its outcomes."""

    message: Message
    answer: asyncio.Future[list[Outcome]]

    @property
    def update_count(self) -> int:
        """Return how many updates it carries."""
        return len(self.message.updates)


class AccountsBatcher(Batcher[Asked]):
    """The requests of those who may see the same accounts, until they leave."""

    def __init__(self, accounts: Accounts, max_updates: int) -> None:
        super().__init__(max_updates=max_updates, max_wait_seconds=0)
        self.accounts = accounts
        # The numbers of the batches under way: those that are not late, and those that are.
        self.awaited: set[int] = set()
        self.late: set[int] = set()

    @property
    def is_idle(self) -> bool:
        """Return whether nothing of it waits or is under way."""
        return not (self or self.awaited or self.late)

    @property
    def leaves_slots(self) -> int:
        """Return how many slots it leaves to others."""
        return 1 if self.late else 0

    def may_leave(self, share: int) -> bool:
        """Return whether a batch is to leave, if there is a slot.

        Args:
            share: How many may be under way at once, but for those that are late.
        """
        return len(self) > 0 and (
            not self.awaited
            or (self.update_count >= self.max_updates and len(self.awaited) < share)
        )


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
        self._max_updates = max_updates
        self._batchers: dict[Accounts, AccountsBatcher] = {}
        self._threads = ThreadPoolExecutor(SLOTS, thread_name_prefix="slot")
        self._free = SLOTS
        self._sharing = Sharing()

    async def settle(self, message: Message, accounts: Accounts) -> list[Outcome]:
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
        now = time.monotonic()
        self._sharing.note(accounts, now)
        batcher = self._batchers.get(accounts)
        if batcher is None:
            batcher = self._batchers[accounts] = AccountsBatcher(accounts, self._max_updates)
        waiting = [one.update_count for one in self._batchers.values()]
        if is_too_much(batcher.update_count, waiting, MAX_WAITING_UPDATES):
            raise BusyError
        asked = Asked(message, asyncio.get_running_loop().create_future())
        batcher.add([asked], now)
        self._fill_slots()
        return await asked.answer

    def close(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._batchers.clear()
        self._threads.shutdown()

    def _fill_slots(self) -> None:
        share = self._sharing.slots(time.monotonic())
        for accounts, batcher in list(self._batchers.items()):
            while self._free > batcher.leaves_slots and batcher.may_leave(share):
                self._start(batcher)
            if batcher.is_idle:
                del self._batchers[accounts]

    def _start(self, batcher: AccountsBatcher) -> None:
        now = time.monotonic()
        batch = batcher.take(now)
        if batch is None:
            return
        # Whoever had a batch waits behind the others for the next.
        self._batchers[batcher.accounts] = self._batchers.pop(batcher.accounts)
        self._free -= 1
        batcher.awaited.add(batch.number)
        loop = asyncio.get_running_loop()
        messages = [asked.message for asked in batch.items]
        work = loop.run_in_executor(self._threads, self._work, messages, batcher.accounts)
        late = loop.call_later(self._sharing.late_seconds(now), self._await_no_more, batcher, batch)
        work.add_done_callback(partial(self._answer, batcher, batch, late))

    def _await_no_more(self, batcher: AccountsBatcher, batch: Batch[Asked]) -> None:
        batcher.awaited.remove(batch.number)
        batcher.late.add(batch.number)
        self._fill_slots()

    def _answer(
        self,
        batcher: AccountsBatcher,
        batch: Batch[Asked],
        late: asyncio.TimerHandle,
        work: asyncio.Future[list[list[Outcome]]],
    ) -> None:
        late.cancel()
        error = work.exception()
        for number, asked in enumerate(batch.items):
            if asked.answer.done():
                continue
            if error is not None:
                asked.answer.set_exception(error)
            else:
                asked.answer.set_result(work.result()[number])
        self._free += 1
        batcher.awaited.discard(batch.number)
        batcher.late.discard(batch.number)
        self._fill_slots()

    # -- in a slot's thread ---------------------------------------------------------------------

    def _work(self, messages: list[Message], accounts: Accounts) -> list[list[Outcome]]:
        self._publisher.catch_up()
        events = EventsOfAccounts(self._service.database, accounts)
        answers = insist(partial(settle_batch, messages, events, with_payload=True))
        self._publish(messages, answers)
        return answers

    def _publish(self, messages: list[Message], answers: list[list[Outcome]]) -> None:
        letters = dead_letters(messages, answers, [DELIVERY] * len(messages))
        outcomes = [outcome for each in answers for outcome in each]
        if not self._service.outcome_payload:
            outcomes = [outcome.without_payload() for outcome in outcomes]
        self._publisher.publish(outcomes, letters)
        metrics.UPDATES_TOGETHER.observe(len(outcomes))
        for reason, count in Counter(each.reason for each in outcomes).items():
            metrics.UPDATES_ANSWERED.labels(reason or "updated").inc(count)
