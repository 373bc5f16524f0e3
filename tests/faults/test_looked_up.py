"""A message that may have been applied, and is not to be any more: looked up, then answered.

Its event is settled and nobody was told, for the worker died, or was stopped, before its
outcome could be published.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from db import Settlement
from tests.service import eventually
from worker.transport.delivery import DELIVERY_COUNT

if TYPE_CHECKING:
    from tests.faults.rig import Rig
    from tests.service import Service, Worker

RABBITMQ = pytest.param("RabbitMQ", marks=pytest.mark.rabbitmq)
BROKERS = pytest.mark.parametrize("unloaded_rig", ["Redis", RABBITMQ], indirect=True)
ENDS = pytest.mark.parametrize("ends", ["killed", "stopped"])
WHY = pytest.mark.parametrize("why", ["expired", "revoked"])
# Soon enough to be waited for, late enough to be applied before.
LIFETIME_SECONDS = 8.0
SOON = {"SETTLE_LEASE_SECONDS": "2", "SETTLE_STOP_TIMEOUT_SECONDS": "2"}


def end(worker: Worker, ends: str) -> None:
    """Let a worker go."""
    if ends == "killed":
        worker.kill()
    else:
        worker.stop()


def outcomes(service: Service) -> list[dict[str, Any]]:
    """Return what was told."""
    return [json.loads(fields["outcome"]) for _, fields in service.channel.xrange("event-outcomes")]


def is_settled(service: Service, id_: str) -> bool:
    """Return whether an event is settled."""
    return service.database.read_events([id_])[id_].status is not None


@BROKERS
@ENDS
@WHY
def test_what_was_applied_is_answered_though_it_is_to_be_dropped(
    unloaded_rig: Rig, ends: str, why: str
) -> None:
    """Whole, as it would have been; what came with it and was not applied is dropped."""
    rig, service = unloaded_rig, unloaded_rig.service
    service.load("ev_1", "ev_2", "other")
    rig.settings = {**SOON, "SETTLE_RETRY_MAX_WAIT_SECONDS": "0.5"}
    worker = rig.start_worker()
    rig.outcomes.stop(immediate=True)
    expires = datetime.now(UTC) + timedelta(seconds=LIFETIME_SECONDS if why == "expired" else 3600)
    # Not as an option: RabbitMQ itself would drop it.
    options = {"headers": {"expires": expires.isoformat()}, "ignore_result": True}
    updates = [{"id": "ev_1", "status": "completed"}, {"id": "nobody", "status": "failed"}]
    applied = service.send(args=[[*updates, {"id": "ev_2", "status": "done"}]], **options)
    eventually(lambda: is_settled(service, "ev_1"))
    # It settles nothing, so that nothing says whether it was applied.
    idle = service.send(kwargs={"id": "ev_1", "status": "failed"}, **options)
    eventually(lambda: worker.log.read_text().count("batches are held") > 0)
    if why == "revoked":
        # Who is there at that time remembers it.
        rig.start_worker()
        service.producer.control.revoke([applied.id, idle.id], reply=True, timeout=5)
    end(worker, ends)
    if why == "expired":
        eventually(lambda: datetime.now(UTC) > expires)
        rig.start_worker()
    rig.outcomes.start()
    service.wait({applied.id: ["ev_1", "nobody", "ev_2"]})
    service.wait_until_empty()
    told = [(one["messageId"], one["index"], one["reason"]) for one in outcomes(service)]
    assert told == [
        (applied.id, index, reason) for index, reason in enumerate([None, "not_found", "invalid"])
    ]


@BROKERS
def test_what_was_applied_is_answered_though_it_came_too_often(unloaded_rig: Rig) -> None:
    """It is not told `invalid` of an event that it has settled; what was not applied is."""
    rig, service = unloaded_rig, unloaded_rig.service
    service.load("ev_1", "ev_2")
    service.database.settle_pending_events([Settlement("ev_1", "completed", None, "applied")])
    deliveries = 16 if service.rabbitmq else 6
    for message_id, id_ in (("applied", "ev_1"), ("new", "ev_2")):
        update = {"id": id_, "status": "completed"}
        headers = {DELIVERY_COUNT: deliveries}
        service.send(kwargs=update, task_id=message_id, headers=headers, ignore_result=True)
    rig.start_worker()
    told = service.wait({"applied": ["ev_1"], "new": [""]})
    assert {name: one.reason for name, (one,) in told.items()} == {
        "applied": None,
        "new": "invalid",
    }
    assert not is_settled(service, "ev_2")
    service.wait_until_empty()
    (letter,) = service.channel.xrange("event-status-updates.dead")
    assert (letter[1]["messageId"], str(deliveries) in letter[1]["reason"]) == ("new", True)
