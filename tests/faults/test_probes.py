"""What probes are told while servers are away: nothing that would have a fleet restarted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.service import eventually
from tests.watching import Watched

if TYPE_CHECKING:
    from tests.faults.rig import Rig


@pytest.fixture
def watched(unloaded_rig: Rig) -> Watched:
    """Give a worker that is ready, and has settled nothing."""
    watched = Watched()
    unloaded_rig.start_worker(**watched.settings)
    become_ready(watched)
    return watched


def become_ready(watched: Watched) -> None:
    """Wait until it is."""
    eventually(lambda: watched.get("/readyz").status == 200, lambda: watched.get("/readyz"))


def wait_until_ready_says(watched: Watched, why: str) -> None:
    """Wait until a worker is not ready, for a reason."""
    eventually(lambda: why in watched.get("/readyz").text, lambda: watched.get("/readyz"))
    assert watched.get("/readyz").status == 503


@pytest.mark.parametrize("at_work", [True, False], ids=["at work", "idle"])
def test_without_its_database(unloaded_rig: Rig, watched: Watched, at_work: bool) -> None:
    """It is live and not ready, also if it only asks; afterwards it is ready by itself."""
    unloaded_rig.postgres.stop()
    if at_work:
        unloaded_rig.service.send(kwargs={"id": "ev_1", "status": "completed"})
        eventually(lambda: watched.metrics()["settle_slots_taken"] == 1, watched.metrics)
        eventually(lambda: watched.metrics()["settle_batches_retried_total"] > 0, watched.metrics)
    wait_until_ready_says(watched, "the database does not answer")
    metrics = watched.metrics()
    assert (metrics["settle_live"], metrics["settle_ready"]) == (1, 0)
    assert metrics["settle_server_up[database]"] == 0
    assert metrics["settle_server_up[broker]"] == metrics["settle_server_up[result_channel]"] == 1
    assert watched.get("/livez").status == 200
    unloaded_rig.postgres.start()
    become_ready(watched)
    # The slot has reported by then; the consumer counts a moment later.
    eventually(
        lambda: watched.metrics()["settle_updates_total[not_found]"] == at_work, watched.metrics
    )


@pytest.mark.parametrize(
    "unloaded_rig", ["Redis", pytest.param("RabbitMQ", marks=pytest.mark.rabbitmq)], indirect=True
)
def test_without_its_broker(unloaded_rig: Rig, watched: Watched) -> None:
    """It is live, although its event loop stands still, and not ready."""
    away = unloaded_rig.service.rabbitmq or unloaded_rig.broker
    eventually(lambda: watched.metrics()["settle_queue_messages"] == 0, watched.metrics)
    away.stop()
    wait_until_ready_says(watched, "the broker does not answer")
    live = watched.get("/livez")
    assert live.status == 200
    assert live.text.startswith("waiting: the broker does not answer: ")
    assert watched.metrics()["settle_server_up[broker]"] == 0
    away.start()
    become_ready(watched)
    eventually(lambda: watched.metrics()["settle_queue_messages"] == 0, watched.metrics)
    assert watched.metrics()["settle_server_up[broker]"] == 1


def test_without_its_result_channel(unloaded_rig: Rig, watched: Watched) -> None:
    """The same, and the batch is held."""
    unloaded_rig.outcomes.stop()
    unloaded_rig.service.send(kwargs={"id": "ev_1", "status": "completed"})
    wait_until_ready_says(watched, "the result channel does not answer")
    assert watched.get("/livez").status == 200
    unloaded_rig.outcomes.start()
    become_ready(watched)


def test_a_worker_that_starts_without_its_broker(unloaded_rig: Rig) -> None:
    """It can be asked before it has ever consumed."""
    rig, watched = unloaded_rig, Watched()
    rig.broker.stop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.service.Worker.wait_for_log", lambda *_: None)
        rig.start_worker(**watched.settings)
    rig.workers[0].wait_for_log("broker is away")
    wait_until_ready_says(watched, "the broker does not answer")
    assert watched.get("/livez").status == 200
    rig.broker.start()
    become_ready(watched)
