"""What the demo sends, and what must become of it, from one seed.

Two waves: first every event's own update, among them whatever real producers
get wrong; then, when all of that is answered, the echoes: duplicates,
contradictions and redeliveries, whose outcomes are therefore known beforehand.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from db.loading import NewEvent

ACCOUNTS = [f"acct_{number:02}" for number in range(1, 21)]
EVENT_TYPES = ["order.created", "invoice.paid", "shipment.booked", "user.invited"]

SHARE_SINGLE = 0.15  # of the events; the others travel in bulk messages
SHARE_FAILED = 0.1
SHARE_ODD = 0.02  # of the updates get each kind of odd company
SHARE_ECHOED = 0.05  # of the events are sent for a second time
REDELIVERED_MESSAGES = 25
BULK_SIZES = (20, 300)

ShortOutcome = tuple[
    str | None, str | None, str
]  # id, status, reason ("updated" where there is none)


@dataclass(frozen=True)
class PlannedMessage:
    """A message, and what the outcome of each of its updates must say."""

    id: str
    updates: list[Any]
    expected: list[ShortOutcome]


@dataclass
class Plan:
    """Everything that is sent, in two waves.

    Attributes:
        events: What is settled by it.
        spare: What is not, but left to whoever wants to try.
        waves: What is sent.
    """

    spare: NewEvent
    events: list[NewEvent] = field(default_factory=list)
    waves: tuple[list[PlannedMessage], list[PlannedMessage]] = field(
        default_factory=lambda: ([], [])
    )

    @property
    def expected(self) -> Counter[str]:
        """Count the outcomes that must come, by reason."""
        return Counter(
            reason for wave in self.waves for message in wave for _, _, reason in message.expected
        )


def make_plan(*, run: str, count: int, seed: int) -> Plan:
    """Plan a demo.

    Args:
        run: Put into every id, so that demos can share a database.
        count: How many events.
        seed: The same again gives the same plan.
    """
    return _Planner(run, seed).plan(count)


class _Planner:
    def __init__(self, run: str, seed: int) -> None:
        self.run = run
        self.random = random.Random(seed)
        self.status: dict[str, str] = {}
        self.messages = 0

    def plan(self, count: int) -> Plan:
        plan = Plan(NewEvent(f"evt_{self.run}_pending", ACCOUNTS[0]))
        plan.events = [
            NewEvent(
                f"evt_{self.run}_{number:06}",
                self.random.choice(ACCOUNTS),
                self.random.choice(EVENT_TYPES),
                {"number": number, "total": self.random.randint(100, 99_999)},
            )
            for number in range(count)
        ]
        queue = self.random.sample(plan.events, count)
        while queue:
            size = 1 if self.random.random() < self._single_odds() else self._bulk_size()
            chunk, queue = queue[:size], queue[size:]
            plan.waves[0].append(self._message(self._first_updates(chunk)))
        self._plan_echoes(plan)
        return plan

    def _single_odds(self) -> float:
        # So that the share holds of events, though a bulk message takes many at once.
        mean = sum(BULK_SIZES) / 2
        return SHARE_SINGLE * mean / (SHARE_SINGLE * mean + 1 - SHARE_SINGLE)

    def _bulk_size(self) -> int:
        return self.random.randint(*BULK_SIZES)

    def _message(self, updates: list[tuple[Any, ShortOutcome]]) -> PlannedMessage:
        self.messages += 1
        return PlannedMessage(
            f"msg-{self.run}-{self.messages:06}",
            [update for update, _ in updates],
            [expected for _, expected in updates],
        )

    def _first_updates(self, events: list[NewEvent]) -> list[tuple[Any, ShortOutcome]]:
        updates: list[tuple[Any, ShortOutcome]] = []
        for event in events:
            if self._odd():
                updates.append(self._of_another_account(event))
            updates.append(self._first_update(event))
            if self._odd():
                updates.append(self._contradiction(event))
            if self._odd():
                updates.append(self._unknown(event))
            if self._odd():
                updates.append(self._invalid(event))
            if self._odd():
                # The very same update again, in the same message: the same outcome.
                updates.append(self._first_update(event))
        return updates

    def _odd(self) -> bool:
        return self.random.random() < SHARE_ODD

    def _first_update(self, event: NewEvent) -> tuple[Any, ShortOutcome]:
        failed = self.random.random() < SHARE_FAILED
        status = self.status.setdefault(event.id, "failed" if failed else "completed")
        update: dict[str, Any] = {"id": event.id, "status": status}
        if self.random.random() < 0.5:  # noqa: PLR2004 - half of them
            update |= {"accountId": event.account_id, "eventType": event.event_type}
        return update, (event.id, status, "updated")

    def _of_another_account(self, event: NewEvent) -> tuple[Any, ShortOutcome]:
        update = {"id": event.id, "status": "completed", "accountId": "acct_99"}
        return update, (event.id, "completed", "not_found")

    def _contradiction(self, event: NewEvent) -> tuple[Any, ShortOutcome]:
        status = self.status[event.id]
        other = "failed" if status == "completed" else "completed"
        return {"id": event.id, "status": other}, (event.id, other, f"already_{status}")

    def _duplicate(self, event: NewEvent) -> tuple[Any, ShortOutcome]:
        status = self.status[event.id]
        return {"id": event.id, "status": status}, (event.id, status, f"already_{status}")

    def _unknown(self, event: NewEvent) -> tuple[Any, ShortOutcome]:
        id_ = event.id.replace("evt_", "gone_")
        return {"id": id_, "status": "failed"}, (id_, "failed", "not_found")

    def _invalid(self, event: NewEvent) -> tuple[Any, ShortOutcome]:
        return self.random.choice(
            [
                ({"id": event.id, "status": "done"}, (event.id, "done", "invalid")),
                ({"id": "", "status": "failed"}, ("", "failed", "invalid")),
                ({"status": "failed"}, (None, "failed", "invalid")),
                ({"id": event.id}, (event.id, None, "invalid")),
                ({"id": 7, "status": "failed"}, (None, "failed", "invalid")),
            ]
        )

    def _plan_echoes(self, plan: Plan) -> None:
        first, second = plan.waves
        for event in self.random.sample(plan.events, int(len(plan.events) * SHARE_ECHOED)):
            echo = self.random.choice([self._duplicate, self._contradiction])
            second.append(self._message([echo(event)]))
        second += self.random.sample(first, min(REDELIVERED_MESSAGES, len(first)))
        self.random.shuffle(second)
