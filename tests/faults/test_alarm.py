"""A RabbitMQ that is short of memory or disk, and takes nothing in: its queue drains meanwhile."""

from __future__ import annotations

import signal
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cli.doctor.examination import examine
from cli.doctor.parts import broker_part
from service.finding import Finding, Verdict
from service.settings import Settings
from settle_client.names import QUEUE
from tests.faults.rig import renew
from tests.monitor import monitor
from tests.service import Service, eventually
from tests.watching import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.rig import Servers
    from tests.rabbitmq import RabbitMQ

pytestmark = pytest.mark.rabbitmq

ALARMS = {
    "memory": ("set_vm_memory_high_watermark", "absolute", "1MB"),
    "disk": ("set_disk_free_limit", "100000GB"),
}
NO_ALARM = (("set_vm_memory_high_watermark", "0.4"), ("set_disk_free_limit", "50MB"))
EVENTS = [f"ev_{number}" for number in range(400)]


@pytest.fixture
def service(breakable: Servers, rabbitmq: RabbitMQ, tmp_path: Path) -> Iterator[Service]:
    """Give a service without a worker yet; in the end there is no alarm."""
    renew(breakable)
    postgres, broker, outcomes = breakable
    made = Service(postgres.url, broker.url, tmp_path, outcome_url=outcomes.url, rabbitmq=rabbitmq)
    with closing(made) as service:
        # As an operator has it: workers look for each other, and tell everything.
        service.worker_options = ("-E",)
        service.load(*EVENTS)
        try:
            yield service
        finally:
            end_alarm(rabbitmq)
    rabbitmq.control("purge_queue", QUEUE)


def raise_alarm(rabbitmq: RabbitMQ, kind: str) -> None:
    """Let the broker be short of something."""
    rabbitmq.control(*ALARMS[kind])
    eventually(lambda: kind in rabbitmq.control("eval", "rabbit_alarm:get_alarms()."))


def end_alarm(rabbitmq: RabbitMQ) -> None:
    """Let it have enough."""
    for command in NO_ALARM:
        rabbitmq.control(*command)
    eventually(lambda: rabbitmq.control("eval", "rabbit_alarm:get_alarms().").strip() == "[]")


def send(service: Service) -> dict[str, list[str]]:
    """Send an update of each event."""
    return {
        service.send(kwargs={"id": id_, "status": "completed"}, ignore_result=True).id: [id_]
        for id_ in EVENTS
    }


@pytest.mark.parametrize("kind", ALARMS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_queue_drains(service: Service, rabbitmq: RabbitMQ, kind: str, when: str) -> None:
    """Whether the worker has started before the alarm or starts after; and it is live."""
    watched = Watched()
    if when == "before":
        worker = service.start_worker(**watched.settings)
        worker.process.send_signal(signal.SIGSTOP)
    sent = send(service)
    raise_alarm(rabbitmq, kind)
    if when == "before":
        worker.process.send_signal(signal.SIGCONT)
    else:
        worker = service.start_worker(**watched.settings)
    by_message = service.wait(sent)
    assert all(outcome.updated for (outcome,) in by_message.values())
    service.wait_until_empty()
    assert watched.get("/livez").status == 200
    assert rabbitmq.control("eval", "rabbit_alarm:get_alarms().").strip() != "[]"
    assert worker.stop() == 0


def test_afterwards_the_worker_is_heard_again(service: Service, rabbitmq: RabbitMQ) -> None:
    """What it could not say meanwhile is lost; it answers, and its task events come."""
    service.start_worker()
    sent = send(service)
    service.wait(sent)
    raise_alarm(rabbitmq, "memory")
    service.operator.conf.broker_url = rabbitmq.url
    end_alarm(rabbitmq)
    eventually(lambda: bool(service.operator.control.ping(timeout=2)))
    with monitor(service) as listening:
        again = service.send(kwargs={"id": "ev_1", "status": "completed"}, ignore_result=True)
        listening.listen_until(lambda: listening.has_ended(str(again.id)))
        listening.listen_until(lambda: "worker-heartbeat" in listening.of_workers)


@pytest.mark.parametrize("kind", ALARMS)
def test_the_doctor_names_it(service: Service, rabbitmq: RabbitMQ, kind: str) -> None:
    """For who sees that nothing new comes, and no worker answers."""
    service.start_worker()
    assert look_for_alarm(service).verdict is Verdict.OK
    raise_alarm(rabbitmq, kind)
    finding = look_for_alarm(service)
    assert finding.verdict is Verdict.FAILURE
    assert "short of memory or disk" in finding.found
    end_alarm(rabbitmq)
    assert look_for_alarm(service).verdict is Verdict.OK


def look_for_alarm(service: Service) -> Finding:
    """Return what the doctor says of it, once a broker that is busy besides answers in time."""
    values = Settings().model_dump() | {"broker_url": service.environment["CELERY_BROKER_URL"]}
    part = broker_part(Settings.model_construct(**values))
    said: dict[str, Finding] = {}

    def is_answered() -> bool:
        said.update((result.check, result.finding) for result in examine(part))
        return said["alarm"].verdict is not Verdict.UNKNOWN

    eventually(is_answered)
    return said["alarm"]
