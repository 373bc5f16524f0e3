"""A gateway dies at each step between a request and its answer; a client repeats the request.

Without a client that repeats it, what is committed and not yet published stays so:
the event is settled, by this message, and no outcome says it. A worker gets an
unacknowledged message again; a request that nobody repeats is gone. That is why a
client sends an Idempotency-Key, and repeats what was not answered.
"""

from __future__ import annotations

import signal
from http.client import HTTPException
from typing import TYPE_CHECKING

import pytest

from tests.gateway import published
from tests.service import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.faults.rig import Rig
    from tests.gateway import Gateways

IDS = ["ev_1", "ev_2", "ev_3", "nobody"]
UPDATES = [{"id": id_, "status": "failed"} for id_ in IDS]
# What there is when it has died: by whom the events are settled, how much is published.
STEPS = {
    "locked": (None, 0),
    "committed": ("key", 0),
    "published partly": ("key", 2),
    "published": ("key", 4),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step(unloaded_rig: Rig, gateways: Gateways, step: str) -> None:
    """The next gateway tells what the first would have told, publishes it, and settles once."""
    service = unloaded_rig.service
    service.load(*IDS[:-1])
    crashing = gateways.start(
        module="tests.faults.crashing_gateway", CRASH_AT=step, CRASH_AT_TIME="1"
    )
    with pytest.raises((ConnectionError, HTTPException)):
        crashing.patch(UPDATES, idempotency_key="key")
    assert crashing.process.wait(PATIENCE_SECONDS) == -signal.SIGKILL

    settled_by, count = STEPS[step]
    rows = service.database.read_events(IDS)
    assert {row.settled_by for row in rows.values()} == {settled_by}
    before = published(service)
    assert [outcome["id"] for outcome in before] == IDS[:count]

    gateway = gateways.start()
    answer = gateway.patch(UPDATES, idempotency_key="key").json
    assert [(one["id"], one["updated"], one["reason"]) for one in answer] == [
        *((id_, True, None) for id_ in IDS[:-1]),
        ("nobody", False, "not_found"),
    ]
    answered = [{name: value for name, value in one.items() if name != "payload"} for one in answer]
    assert published(service) == answered[:count] + answered
    assert gateway.patch(UPDATES, idempotency_key="key").json == answer

    after = service.database.read_events(IDS)
    assert {(row.status, row.settled_by) for row in after.values()} == {("failed", "key")}
    if settled_by:
        assert after == rows
    late = gateway.patch(UPDATES[:3], idempotency_key="another").json
    assert {one["reason"] for one in late} == {"already_failed"}
