"""Whatever lies in the queue is answered, and hurts nobody else."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from settle_client.names import QUEUE
from tests.faults.hostile import GENERATED, cases

if TYPE_CHECKING:
    from tests.faults.rig import Rig

pytestmark = pytest.mark.storms
GOOD = 200


def test_hostile_messages_are_all_answered(unloaded_rig: Rig) -> None:
    """Each under its message id if it has one; the good ones among them are settled."""
    service = unloaded_rig.service
    hostile = cases()
    assert len(hostile) >= GENERATED
    good = [f"good_{number}" for number in range(GOOD)]
    service.load("ev_0", *good)
    # Monitors see it all, and leases are as they are by default: some of this takes its time.
    unloaded_rig.options = ("-E",)
    worker = unloaded_rig.start_worker(SETTLE_DEAD_LETTER_MAX_SHARE="1", SETTLE_LEASE_SECONDS="30")
    places = sorted(random.Random(3).sample(range(len(hostile)), GOOD))
    for id_, start, end in zip(good, places, [*places[1:], None], strict=True):
        service.send(kwargs={"id": id_, "status": "completed"}, ignore_result=True)
        service.redis.lpush(QUEUE, *(case.item for case in hostile[start:end]))
    service.redis.lpush(QUEUE, *(case.item for case in hostile[: places[0]]))
    unloaded_rig.drain()
    assert worker.process.poll() is None
    assert not any(unloaded_rig.backlog())

    outcomes = [json.loads(f["outcome"]) for _, f in service.channel.xrange("event-outcomes")]
    assert sum(outcome["updated"] for outcome in outcomes if outcome["id"] in good) == GOOD
    by_message = Counter(outcome["messageId"] for outcome in outcomes)
    known = {case.message_id for case in hostile if case.message_id is not None}
    assert known - by_message.keys() == set()
    nameless = sum(case.message_id is None for case in hostile)
    theirs = sum(count for message, count in by_message.items() if message not in known)
    assert theirs - GOOD >= nameless
    refused = sum(outcome["reason"] == "invalid" for outcome in outcomes)
    assert service.channel.xlen("event-status-updates.dead") == refused
