"""Which messages are suspect when a worker dies: what it looked at or worked on, and no other."""

from __future__ import annotations

import json
import re
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.network import Link
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.rig import Rig
    from tests.service import Worker

pytestmark = pytest.mark.storms
QUEUE = "event-status-updates"
POISON = "ev_poison"
DEATHS = 20
STRIKES = 8


def send(rig: Rig, *ids: str) -> dict[str, list[str]]:
    """Load events and send a message for each; return what is to be answered."""
    rig.service.load(*ids)
    return {
        rig.service.send(kwargs={"id": id_, "status": "completed"}, ignore_result=True).id: [id_]
        for id_ in ids
    }


# On RabbitMQ nothing of ours stands between its client and what is total: see test_boundary.py.
@pytest.mark.parametrize(
    ("unloaded_rig", "how"),
    [
        ("Redis", "exit"),
        ("Redis", "raise"),
        pytest.param("RabbitMQ", "exit", marks=pytest.mark.rabbitmq),
    ],
    indirect=["unloaded_rig"],
)
def test_a_message_that_ends_whoever_looks_at_it(unloaded_rig: Rig, how: str) -> None:
    """It is set aside and answered in the end, and its neighbours are settled as ever."""
    rig = unloaded_rig
    before = [f"ev_before_{number}" for number in range(10)]
    after = [f"ev_after_{number}" for number in range(10)]
    awaited = send(rig, *before, POISON, *after)
    rig.settings |= {"SETTLE_LEASE_SECONDS": "1", "KILLED_BY": POISON, "KILLED_HOW": how}
    deaths = 0
    while not awaited.keys() <= answers(rig).keys():
        assert deaths < DEATHS, rig.backlog()
        worker = rig.start_worker(module="tests.faults.killing")
        eventually(partial(has_ended_or_answered, worker, rig, awaited))
        deaths += has_ended(worker)
    told = answers(rig)
    reasons = {ids[0]: told[message] for message, ids in awaited.items()}
    assert reasons.pop(POISON) == "invalid"
    assert set(reasons.values()) == {None}
    (letter,) = rig.service.channel.xrange(f"{QUEUE}.dead")
    assert re.search("workers died with it|delivered 19 times", letter[1]["reason"])
    assert deaths >= 6
    rig.drain()
    assert not any(rig.backlog())


def has_ended_or_answered(worker: Worker, rig: Rig, awaited: dict[str, list[str]]) -> bool:
    """Return whether a worker has ended by itself, or there is nothing left to do for it."""
    return has_ended(worker) or awaited.keys() <= answers(rig).keys()


def answers(rig: Rig) -> dict[str, Any]:
    """Return the reason of each message's outcome."""
    entries = rig.service.channel.xrange("event-outcomes")
    outcomes = [json.loads(fields["outcome"]) for _, fields in entries]
    return {outcome["messageId"]: outcome["reason"] for outcome in outcomes}


def has_ended(worker: Worker) -> bool:
    """Return whether a worker has ended by itself."""
    return worker.process.poll() is not None


def kill(rig: Rig, _: Link) -> None:
    """Kill the worker and start another."""
    rig.replace(rig.workers[0])


def cut(_: Rig, link: Link) -> None:
    """Cut the worker's connections."""
    link.cut()


@pytest.mark.parametrize("strike", [kill, cut])
def test_what_waits_for_the_database_is_never_to_blame(
    unloaded_rig: Rig, strike: Callable[[Rig, Link], None]
) -> None:
    """However often its worker is killed, or its connection cut, during the outage."""
    rig = unloaded_rig
    awaited = send(rig, *[f"ev_{number}" for number in range(50)])
    rig.settings |= {"SETTLE_LEASE_SECONDS": "1"}
    with ExitStack() as stack:
        link = stack.enter_context(Link(rig.broker.port))
        rig.links.append(link)
        rig.postgres.stop()
        rig.start_worker()
        for _ in range(STRIKES):
            eventually(lambda: rig.backlog()[0] == 0)
            # So that it has tried, too, and waits to try again.
            time.sleep(1)
            strike(rig, link)
        rig.postgres.start()
        rig.service.wait(awaited)
        assert set(answers(rig).values()) == {None}
        assert not rig.service.channel.exists(f"{QUEUE}.dead")
        assert not rig.service.redis.exists(f"{QUEUE}.retry")
        rig.workers[0].kill()
