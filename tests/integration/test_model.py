"""The reference model and PostgreSQL, side by side over random histories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from db.loading import NewEvent, load_events
from settle_client.update import StatusUpdate
from tasks.messages import Message
from tasks.settle import settle_batch
from tests.model import ReferenceEvents
from tests.tables import both

if TYPE_CHECKING:
    from db import Database, EventRow
    from settle_client.outcome import Outcome

IDS = ["a", "b", "c", "d", "e"]
UPDATES = st.builds(
    StatusUpdate,
    st.sampled_from(IDS),
    st.sampled_from(["completed", "failed"]),
    st.sampled_from([None, "x", "y"]),
)
CONTENTS = st.lists(UPDATES, min_size=1, max_size=4)


def without_times(row: EventRow) -> tuple[Any, ...]:
    """Return what the model and the database must agree on."""
    return (row.id, row.account_id, row.status, row.settled_by)


def comparable(outcomes: list[list[Outcome]]) -> list[Any]:
    """Return outcomes without their points in time."""
    return [
        [(o.id, o.updated, o.status, o.reason, o.message_id, o.account_id) for o in many]
        for many in outcomes
    ]


def machine_for(database: Database, database_url: str) -> type[RuleBasedStateMachine]:
    """Make a state machine that plays on this database."""

    class Histories(RuleBasedStateMachine):
        @initialize(accounts=st.lists(st.sampled_from(["x", "y"]), min_size=4, max_size=4))
        def start(self, accounts: list[str]) -> None:
            owners = dict(zip(IDS, accounts, strict=False))  # the last id is unknown
            with database.engine.begin() as connection:
                connection.exec_driver_sql("TRUNCATE events")
            load_events(database_url, [NewEvent(id_, owner) for id_, owner in owners.items()])
            self.model = ReferenceEvents(owners)
            self.sent: list[Message] = []
            self.answers: dict[int, Any] = {}

        @rule(batch=st.lists(CONTENTS, min_size=1, max_size=4))
        def settle(self, batch: list[list[StatusUpdate]]) -> None:
            messages = [
                Message(f"m{len(self.sent) + number}", tuple(updates))
                for number, updates in enumerate(batch)
            ]
            answers = comparable(settle_batch(messages, database))
            assert answers == comparable(settle_batch(messages, self.model))
            for message, answer in zip(messages, answers, strict=True):
                self.answers[len(self.sent)] = answer
                self.sent.append(message)

        @rule(data=st.data())
        def redeliver(self, data: st.DataObject) -> None:
            if self.sent:
                number = data.draw(st.integers(0, len(self.sent) - 1))
                (answer,) = comparable(settle_batch([self.sent[number]], database))
                assert answer == self.answers[number]

        @invariant()
        def tables_agree(self) -> None:
            if hasattr(self, "model"):
                rows = {id_: without_times(row) for id_, row in database.read_events(IDS).items()}
                assert rows == {id_: without_times(row) for id_, row in self.model.rows.items()}

    return Histories


@both
def test_any_history_is_that_of_the_model(database: Database, database_url: str) -> None:
    """Batches and redeliveries in any order leave the same rows and the same answers."""
    run_state_machine_as_test(
        machine_for(database, database_url),
        settings=settings(
            max_examples=40,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
