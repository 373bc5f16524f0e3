"""A consumer that is too slow for the stream: told what it lost, or waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.service import eventually

if TYPE_CHECKING:
    from tests.service import Service

pytestmark = pytest.mark.storms

STREAM, GROUP = "event-outcomes", "billing"
LENGTH = 200
# What docs/outcomes.md asks for beside the users' usual rights.
RIGHTS = ("+xlen", "+xrange", "+xtrim", "+xpending", "+xinfo|groups")


def send(service: Service, first: int, count: int) -> dict[str, list[str]]:
    """Send messages of ten updates, and return the ids of the events by message."""
    sent = {}
    for begin in range(first, first + count, 10):
        ids = [f"ev_{number}" for number in range(begin, begin + 10)]
        updates = [{"id": id_, "status": "completed"} for id_ in ids]
        sent[service.send(args=[updates], ignore_result=True).id] = ids
    return sent


def test_settlement_waits_for_a_stalled_consumer(service: Service) -> None:
    """Nothing of what it has not read is trimmed, and all is settled when it reads on."""
    service.load(*(f"ev_{number}" for number in range(2_000)))
    name = urlsplit(service.users.worker).username
    if name:
        service.redis.execute_command("ACL", "SETUSER", name, *RIGHTS)
    service.channel.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    worker = service.start_worker(
        SETTLE_OUTCOME_STREAM_MAX_LENGTH=str(LENGTH),
        SETTLE_OUTCOME_KEEP_FOR_GROUPS=f"{GROUP}",
        SETTLE_BATCH_MAX_UPDATES="50",
        SETTLE_RETRY_MAX_WAIT_SECONDS="0.2",
    )
    sent = send(service, 0, 2_000)
    worker.wait_for_log("batches are held")
    time.sleep(1)
    # What slots hold is published when there is room; nothing else was applied.
    assert service.channel.xlen(STREAM) <= 2 * LENGTH
    events = [id_ for ids in sent.values() for id_ in ids]
    rows = service.database.read_events(events)
    assert sum(row.status is not None for row in rows.values()) <= 2 * LENGTH
    assert service.redis.llen("event-status-updates") > 0

    lost: list[Any] = []
    seen = set()
    for outcome in service.outcomes.follow(GROUP, "one", on_gone=lost.append):
        seen.add((outcome.message_id, outcome.id))
        if len(seen) == len(events):
            break
    assert seen == {(message, id_) for message, ids in sent.items() for id_ in ids}
    assert lost == []
    assert "the consumer group 'billing'" in worker.log.read_text()


def test_a_group_that_lost_outcomes_hears_of_it(service: Service) -> None:
    """From the doctor before, and from the command when it reads on."""
    service.load(*(f"ev_{number}" for number in range(1_000)))
    service.channel.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    environment = {"SETTLE_OUTCOME_STREAM_MAX_LENGTH": str(LENGTH)}
    service.start_worker(**environment)
    service.wait(send(service, 0, 100))
    send(service, 100, 900)
    service.wait_until_empty()
    gone = 1_000 - service.channel.xlen(STREAM)
    assert gone > 0

    def settle(*arguments: str, user: str) -> Any:
        return subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments],
            env={
                **os.environ,
                **service.environment,
                **environment,
                "CELERY_BROKER_URL": user,
                "SETTLE_OUTCOME_URL": user,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    found, _ = settle("doctor", user=service.users.worker).communicate()
    assert f"and has lost {gone}" in " ".join(found.split())
    reading = settle("outcomes", "--group", GROUP, user=service.users.consumer)
    eventually(lambda: not service.channel.xinfo_groups(STREAM)[0]["lag"])
    reading.kill()
    _, said = reading.communicate()
    assert f"{gone:,} outcomes are gone: trimmed from the stream" in said
