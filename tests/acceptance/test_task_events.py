"""Task events, for a monitor that comes when workers are long running, goes, and comes again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.monitor import monitor

if TYPE_CHECKING:
    from tests.service import Service

TIMES = 10
LIFE = ["task-received", "task-started", "task-succeeded"]


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
                listening.listen_until(partial(listening.has_ended, sent))
                assert listening.kinds[sent] == LIFE
                task = listening.state.tasks[sent]
                assert task.received <= task.started <= task.succeeded
                assert f"'id': '{when}_{number}'" in task.kwargs
                assert (task.state, task.result) == ("SUCCESS", "1 updated")
                assert task.worker.hostname.startswith("w0@")
