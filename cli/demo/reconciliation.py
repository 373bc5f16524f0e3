"""Whether everything agrees: plan, outcomes and table, each compared exactly."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from settle_client.moments import read_moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.demo.plan import Plan
    from cli.demo.tally import Tally
    from db import EventRow

MAX_DIFFERENCES = 10


class Reconciliation(NamedTuple):
    """What was compared, and every way in which it differs, up to a few."""

    expected: Counter[str]
    received: Counter[str]
    settled_rows: int
    updated_outcomes: int
    differences: list[str]

    @property
    def agrees(self) -> bool:
        """Return whether there is no difference at all."""
        return not self.differences


def reconcile(plan: Plan, tally: Tally, rows: Mapping[str, EventRow]) -> Reconciliation:
    """Compare the outcomes with the plan, and the table with the outcomes.

    Args:
        plan: What was sent and must come of it.
        tally: What came of it.
        rows: The plan's events as they are in the table now.
    """
    differences = [*_against_plan(plan, tally), *_against_table(plan, tally, rows)]
    return Reconciliation(
        expected=plan.expected,
        received=tally.reasons,
        settled_rows=sum(row.status is not None for row in rows.values()),
        updated_outcomes=len(tally.outcomes),
        differences=differences[:MAX_DIFFERENCES],
    )


def _against_plan(plan: Plan, tally: Tally) -> list[str]:
    expected = Counter(
        (message.id, outcome)
        for wave in plan.waves
        for message in wave
        for outcome in message.expected
    )
    received = Counter(
        (id_, outcome) for id_, outcomes in tally.short_outcomes.items() for outcome in outcomes
    )
    missing = [f"{key}: {count} outcomes missing" for key, count in (expected - received).items()]
    extra = [f"{key}: {count} outcomes too many" for key, count in (received - expected).items()]
    return missing + extra


def _against_table(plan: Plan, tally: Tally, rows: Mapping[str, EventRow]) -> list[str]:
    differences = []
    winners = {event_id: message_id for message_id, event_id in tally.outcomes}
    if len(winners) != len(tally.outcomes):
        differences.append("more than one message was told that it settled the same event")
    for event in plan.events:
        row, message_id = rows.get(event.id), winners.get(event.id)
        if row is None or message_id is None:
            differences.append(f"{event.id}: in the table {row}, told to {message_id}")
            continue
        outcome = tally.outcomes[message_id, event.id]
        moments = [text and read_moment(text) for text in (row.completed_at, row.failed_at)]
        in_table = (row.settled_by, row.status, *moments)
        published = (message_id, outcome.status, outcome.completed_at, outcome.failed_at)
        if in_table != published:
            differences.append(f"{event.id}: in the table {in_table}, told {published}")
    return differences
