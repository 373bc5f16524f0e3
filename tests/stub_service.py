"""A service in memory, for the unit ring: slow, or failing, as a test says."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from gateway.events.publishing import PatientPublisher
from gateway.events.settling import Settler
from settle_client.checking import check_all
from tasks.errors import OutcomesNotPublishedError
from tasks.messages import Message
from tests.model import ReferenceEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from db import EventRow, Rows, Settlement
    from settle_client.outcome import Outcome
    from tasks.publishing import DeadLetter


class Stub:
    """The service as far as the gateway uses it, in memory: database, channel and all."""

    message_max_updates = 1_000

    def __init__(self, ids: Sequence[str], *, outcome_payload: bool = False) -> None:
        """Hold pending events, those whose id begins with a `t` being theirs, the others ours."""
        self.outcome_payload = outcome_payload
        self.events = ReferenceEvents(
            {id_: "theirs" if id_.startswith("t") else "ours" for id_ in ids}
        )
        self.database = self.publisher = self
        self.batches: list[list[str]] = []
        self.published: list[Outcome] = []
        self.letters: list[DeadLetter] = []
        self.is_open = threading.Event()
        self.is_open.set()
        self.begun = threading.Semaphore(0)
        self.fails_on: dict[str, Exception] = {}
        self.fails_once_on: dict[str, Exception] = {}
        self.channel_is_away = False
        self.work_seconds = 0.0
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def settle_pending_events(
        self,
        settlements: Sequence[Settlement],
        *,
        with_payload: bool = False,
        accounts: frozenset[str] | None = None,
    ) -> Rows:
        """Settle, once the gate is open."""
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.release()
        self.is_open.wait()
        # So that who may be at it together, is.
        time.sleep(self.work_seconds)
        with self._lock:
            self.at_once -= 1
        ids = [settlement.event_id for settlement in settlements]
        with self._lock:
            self.batches.append(ids)
            for id_ in ids:
                if id_ in self.fails_once_on:
                    raise self.fails_once_on.pop(id_)
                if id_ in self.fails_on:
                    raise self.fails_on[id_]
            ours = [
                settlement
                for settlement in settlements
                if (row := self.events.rows.get(settlement.event_id)) is None
                or accounts is None
                or row.account_id in accounts
            ]
            return self.events.settle_pending_events(ours)

    def read_events(
        self,
        event_ids: Sequence[str],
        *,
        with_payload: bool = False,
        accounts: frozenset[str] | None = None,
    ) -> dict[str, EventRow]:
        """Return those that there are."""
        rows = self.events.read_events(event_ids)
        return {
            id_: row for id_, row in rows.items() if accounts is None or row.account_id in accounts
        }

    def publish(self, outcomes: Sequence[Outcome], letters: Sequence[DeadLetter]) -> None:
        """Publish."""
        if self.channel_is_away:
            raise OutcomesNotPublishedError
        with self._lock:
            self.published += outcomes
            self.letters += letters


def message(name: str, *ids: str) -> Message:
    """Make a message that completes some events."""
    updates = [{"id": id_, "status": "completed"} for id_ in ids]
    return Message(name, tuple(check_all(updates)))


def run(
    stub: Stub, scenario: Callable[[Settler], Coroutine[Any, Any, None]], *, max_updates: int = 10
) -> None:
    """Let a scenario play with a settler."""

    async def play() -> None:
        service: Any = stub
        settler = Settler(service, PatientPublisher(service), max_updates=max_updates)
        try:
            await scenario(settler)
        finally:
            stub.is_open.set()
            settler.close()

    asyncio.run(play())


async def occupy(settler: Settler, stub: Stub) -> list[asyncio.Task[Any]]:
    """Let a request be under way, and not come to an end."""
    stub.is_open.clear()
    taken = [asyncio.create_task(settler.settle(message("first", "o0"), None))]
    assert await asyncio.to_thread(stub.begun.acquire)
    return taken


async def ask(
    settler: Settler, *asked: tuple[Message, frozenset[str] | None]
) -> list[asyncio.Task[Any]]:
    """Ask for messages to be settled."""
    tasks = [asyncio.create_task(settler.settle(*one)) for one in asked]
    await asyncio.sleep(0)
    return tasks
