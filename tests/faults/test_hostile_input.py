"""Whatever lies in the queue is answered, and hurts nobody else."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults import amqp_items
from tests.faults.fuzzing import fuzzed
from tests.faults.hostile import met
from tests.faults.storms import FOR_ODD_MESSAGES
from tests.faults.strikes import put

if TYPE_CHECKING:
    from tests.faults.hostile import Case
    from tests.faults.rig import Rig

pytestmark = pytest.mark.storms
# More of them in the long form: FUZZED_ITEMS=20000.
FUZZED = int(os.environ.get("FUZZED_ITEMS", "1000"))
GOOD = 200
KILLS = 2
SHOWN = 2_000


@pytest.mark.parametrize("options", [(), ("-E",)], ids=["unwatched", "watched"])
@pytest.mark.parametrize(
    "unloaded_rig",
    ["Redis", pytest.param("RabbitMQ", marks=pytest.mark.rabbitmq)],
    indirect=True,
)
def test_hostile_messages_are_all_answered(unloaded_rig: Rig, options: tuple[str, ...]) -> None:
    """Each under its message id if it has one; the good ones among them are settled.

    Workers are killed meanwhile, so that some of it is delivered again.
    """
    rig, service = unloaded_rig, unloaded_rig.service
    hostile = [*fuzzed(FUZZED), *met()]
    good = [f"good_{number}" for number in range(GOOD)]
    service.load("ev_0", *good)
    rig.options = options
    taken: list[Case] = []
    worker = rig.start_worker(**dict(FOR_ODD_MESSAGES))
    places = sorted(random.Random(3).sample(range(len(hostile)), GOOD))
    kills = [places[GOOD * (number + 1) // (KILLS + 1)] for number in range(KILLS)]
    for id_, start, end in zip(good, places, [*places[1:], len(hostile)], strict=True):
        service.send(kwargs={"id": id_, "status": "completed"}, ignore_result=True)
        taken += put(rig, hostile[start:end])
        if start in kills:
            assert worker.process.poll() is None
            worker.kill()
            worker = rig.start_worker(**dict(FOR_ODD_MESSAGES))
    taken += put(rig, hostile[: places[0]])
    # Of a few RabbitMQ wants to know nothing.
    assert len(taken) > 0.99 * len(hostile)
    rig.drain()
    assert worker.process.poll() is None
    assert not any(rig.backlog())
    check_answers(rig, taken, set(good))


def check_answers(rig: Rig, hostile: list[Case], good: set[str]) -> None:
    """See that everything was answered, and that everything refused was kept."""
    outcomes: list[dict[str, Any]] = [
        json.loads(fields["outcome"]) for _, fields in rig.service.channel.xrange("event-outcomes")
    ]
    settled = {outcome["id"] for outcome in outcomes if outcome["updated"]}
    assert good - settled == set()
    by_message = Counter(outcome["messageId"] for outcome in outcomes)
    known = {case.message_id: case.item for case in hostile if case.message_id is not None}
    missing = [item[:SHOWN] for message_id, item in known.items() if message_id not in by_message]
    assert not missing, b"\n".join(missing).decode(errors="replace")
    nameless = sum(case.message_id is None for case in hostile)
    theirs = sum(count for message, count in by_message.items() if message not in known)
    assert theirs - GOOD >= nameless
    refused = sum(outcome["reason"] == "invalid" for outcome in outcomes)
    # A letter is written before its outcome: a kill in between has it written again.
    assert rig.service.channel.xlen("event-status-updates.dead") >= refused


@pytest.mark.rabbitmq
@pytest.mark.parametrize("unloaded_rig", ["RabbitMQ"], indirect=True)
def test_properties_that_cannot_be_read_end_no_connection(unloaded_rig: Rig) -> None:
    """The messages are refused, with the reason; those behind them are settled."""
    service = unloaded_rig.service
    assert service.rabbitmq is not None
    service.load("ev_1")
    worker = unloaded_rig.start_worker()
    update = json.dumps([[], {"id": "ev_1", "status": "completed"}, {}])
    count = amqp_items.publish_unreadable(service.rabbitmq.url, update)
    good = service.send(kwargs={"id": "ev_1", "status": "failed"}, ignore_result=True).id
    assert service.wait({good: ["ev_1"]})[good][0].updated
    unloaded_rig.drain()
    assert worker.process.poll() is None
    assert "Connection to broker lost" not in worker.log.read_text()
    letters = service.channel.xrange("event-status-updates.dead")
    whys = [fields["reason"] for _, fields in letters]
    assert [why for why in whys if "its properties cannot be read" not in why] == []
    assert len(whys) == count
