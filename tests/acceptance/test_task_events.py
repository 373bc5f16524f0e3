"""Task events, for a monitor that comes when workers are long running, goes, and comes again."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from celery.events.state import State

from tests.service import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.service import Service

TIMES = 10
LIFE = ["task-received", "task-started", "task-succeeded"]


class Monitor:
    """What Celery's own receiver and state make of task events."""

    def __init__(self) -> None:
        self.connection: Any = None
        self.state = State()
        self.kinds: dict[str, list[str]] = {}

    def hear(self, event: dict[str, Any]) -> None:
        """Take a task event in."""
        self.state.event(event)
        if event["type"].startswith("task-"):
            self.kinds.setdefault(event["uuid"], []).append(event["type"])

    def wait_for(self, message_id: str) -> None:
        """Listen until a message has come to its end."""
        while LIFE[-1] not in self.kinds.get(message_id, ()):
            self.connection.drain_events(timeout=PATIENCE_SECONDS)


@contextmanager
def monitor(service: Service) -> Iterator[Monitor]:
    """Listen while the `with` block lasts, without a word to the workers."""
    app, monitor = service.operator, Monitor()
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": monitor.hear})
        with receiver.consumer_context(wakeup=False) as (monitor.connection, _, _):
            with suppress(TimeoutError):
                # On Redis it listens from the first turn on.
                monitor.connection.drain_events(timeout=0.1)
            yield monitor


def send(service: Service, id_: str) -> str:
    """Send an update, and return its message's id."""
    sent = service.send(kwargs={"id": id_, "status": "completed"}, ignore_result=True)
    return str(sent.id)


@pytest.mark.parametrize(
    "broker", ["service", pytest.param("quorum", marks=pytest.mark.rabbitmq)], ids=lambda it: it
)
def test_who_listens_is_shown_everything_from_then_on(
    request: pytest.FixtureRequest, broker: str
) -> None:
    """However often nobody was there before, for whom nothing is written."""
    service: Service = request.getfixturevalue(broker)
    if service.rabbitmq is not None:
        service.operator.conf.broker_url = service.rabbitmq.url
    service.load(*(f"{when}_{n}" for n in range(TIMES) for when in ("alone", "heard", "last")))
    service.start_worker("-E")
    for number in range(TIMES):
        alone = send(service, f"alone_{number}")
        service.wait({alone: [f"alone_{number}"]})
        with monitor(service) as listening:
            for when in ("heard", "last"):
                sent = send(service, f"{when}_{number}")
                listening.wait_for(sent)
                assert listening.kinds[sent] == LIFE
                task = listening.state.tasks[sent]
                assert task.received <= task.started <= task.succeeded
                assert f"'id': '{when}_{number}'" in task.kwargs
                assert (task.state, task.result) == ("SUCCESS", "1 updated")
                assert task.worker.hostname.startswith("w0@")
