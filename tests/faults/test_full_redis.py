"""A Redis at its memory limit, which refuses whatever may need memory: it drains by itself."""

from __future__ import annotations

import signal
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from kombu.exceptions import OperationalError

from tests.faults.rig import renew
from tests.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.rig import Servers

EVENTS = [f"ev_{number}" for number in range(100)]
BACKLOG = 1_000
# Of what there is, as much as a worker and its tests may need for their connections.
ROOM_BYTES = 300_000


@pytest.fixture(params=["one Redis", "an outcome Redis of its own"])
def service(
    breakable: Servers, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Service]:
    """Give a service without a worker yet, with its own outcome Redis or without."""
    renew(breakable)
    postgres, broker, outcomes = breakable
    outcome_url = "" if request.param == "one Redis" else outcomes.url
    with closing(Service(postgres.url, broker.url, tmp_path, outcome_url=outcome_url)) as service:
        # As an operator has it, who knows nothing of this.
        service.worker_options = ()
        service.load(*EVENTS)
        yield service
        service.redis.config_set("maxmemory", 0)


def fill(service: Service) -> list[str]:
    """Send until Redis refuses more, and return the ids of the messages that it has taken."""
    sent = [send(service, number) for number in range(BACKLOG)]
    service.redis.config_set("maxmemory", used(service) + ROOM_BYTES)
    for number in range(BACKLOG, 3 * BACKLOG):
        try:
            sent.append(send(service, number))
        except OperationalError:
            return sent
    raise AssertionError("nothing was refused")


def send(service: Service, number: int) -> str:
    """Send an update, every tenth of them not valid."""
    status = "completed" if number % 10 else "lost"
    update = {"id": EVENTS[number % len(EVENTS)], "status": status}
    return str(service.send(kwargs=update, ignore_result=True).id)


def used(service: Service) -> int:
    """Return how many bytes Redis has in use."""
    return int(service.redis.info("memory")["used_memory"])


def see_it_drained(service: Service, sent: list[str]) -> None:
    """Wait until each message is answered and the queue is empty, and send one more."""
    events = {id_: [EVENTS[number % len(EVENTS)]] for number, id_ in enumerate(sent)}
    assert service.wait(events).keys() == events.keys()
    service.wait_until_empty()
    assert used(service) < service.redis.info("memory")["maxmemory"]
    after = send(service, 1)
    assert service.wait({after: [EVENTS[1]]})


def test_a_worker_that_runs_drains_it(service: Service) -> None:
    """Outcomes and dead letters go out, what is answered goes, and producers are let in again."""
    worker = service.start_worker()
    worker.process.send_signal(signal.SIGSTOP)
    try:
        sent = fill(service)
    finally:
        worker.process.send_signal(signal.SIGCONT)
    see_it_drained(service, sent)
    assert worker.stop() == 0


def test_a_worker_that_starts_drains_it(service: Service) -> None:
    """It consumes, though Redis refuses what kombu remembers of a queue, which is not there yet."""
    sent = fill(service)
    service.redis.delete(*service.redis.scan_iter("_kombu.binding*"))
    worker = service.start_worker()
    see_it_drained(service, sent)
    assert worker.stop() == 0
