"""The examples for Node.js, run as they stand, with nothing of ours installed there."""

from __future__ import annotations

import json
import re
import signal
from base64 import b64decode
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from cli.embedded import free_port
from tests.items import fetched
from worker.understanding.plain import read_plain

if TYPE_CHECKING:
    import subprocess

    from tests.node import Node
    from tests.service import Service

pytestmark = pytest.mark.node
CLIENTS = Path(__file__).parents[2] / "docs" / "clients.md"


def queued(service: Service) -> list[dict[str, Any]]:
    """Return what waits in the queue, the oldest first, all of it plain."""
    items = service.redis.lrange("event-status-updates", 0, -1)[::-1]
    assert all(read_plain(fetched(item), max_updates=10) for item in items)
    return [json.loads(item) for item in items]


def statuses(service: Service, *ids: str) -> list[tuple[str | None, str | None]]:
    """Return the status of events, and the message that settled each."""
    rows = service.database.read_events(ids)
    return [(rows[id_].status, rows[id_].settled_by) for id_ in ids]


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """Return what an example prints next."""
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def end(process: subprocess.Popen[str]) -> None:
    """Interrupt an example, and see that it ends as it should and has said all."""
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert printed == ""
    assert process.returncode == 0


def test_celery_node_publishes(node: Node, service: Service) -> None:
    """One update by kwargs, several by args, and each under the id that was chosen for it."""
    service.load("ev_1", "ev_2", "ev_3")
    script, broker = "publish-with-celery-node.js", service.users.producer
    one = node.run(script, "import-6", "completed", "ev_1", REDIS_URL=broker)
    two = node.run(script, "import-7", "failed", "ev_2", "ev_3", REDIS_URL=broker)
    assert (one.stdout, one.stderr) == ("sent import-6: 1 updates\n", "")
    assert (two.stdout, two.stderr) == ("sent import-7: 2 updates\n", "")
    assert [json.loads(b64decode(item["body"])) for item in queued(service)] == [
        [[], {"id": "ev_1", "status": "completed"}, {}],
        [[[{"id": id_, "status": "failed"} for id_ in ("ev_2", "ev_3")]], {}, {}],
    ]
    service.start_worker()
    by_message = service.wait({"import-6": ["ev_1"], "import-7": ["ev_2", "ev_3"]})
    assert all(outcome.updated for outcomes in by_message.values() for outcome in outcomes)
    assert statuses(service, "ev_1", "ev_2", "ev_3") == [
        ("completed", "import-6"),
        *[("failed", "import-7")] * 2,
    ]


def test_a_job_that_runs_again_sends_the_same_messages(node: Node, service: Service) -> None:
    """A bare Redis client lays several in the queue at once; all are told `updated: true`."""
    service.load("ev_1", "ev_2")
    for _ in range(2):
        ran = node.run(
            *("publish-with-redis.js", "nightly-17", "completed", "ev_1", "ev_2"),
            REDIS_URL=service.users.producer,
        )
        assert (ran.stdout, ran.stderr) == ("sent nightly-17: 2 messages\n", "")
    tags = {item["properties"]["delivery_tag"] for item in queued(service)}
    assert len(tags) == 4
    service.start_worker()
    service.wait_until_empty()
    outcomes = [json.loads(entry["outcome"]) for _, entry in service.redis.xrange("event-outcomes")]
    assert len(outcomes) == 4
    assert all(outcome["updated"] for outcome in outcomes)
    assert len({(outcome["id"], outcome["completedAt"]) for outcome in outcomes}) == 2
    assert statuses(service, "ev_1", "ev_2") == [
        ("completed", "nightly-17/ev_1"),
        ("completed", "nightly-17/ev_2"),
    ]


def test_outcomes_are_heard_live(node: Node, service: Service) -> None:
    """Each is printed as it comes, until Ctrl-C."""
    service.load("ev_1")
    service.start_worker()
    listener = node.start("outcomes-live.js", REDIS_URL=service.users.consumer)
    while not dict(service.redis.pubsub_numsub("event-outcomes"))["event-outcomes"]:
        assert listener.poll() is None
    for status in ("completed", "failed", "done"):
        service.send(kwargs={"id": "ev_1", "status": status})
        service.wait_until_empty()
    assert lines(listener, 3) == [
        "ev_1 completed: updated",
        "ev_1 failed: already_completed",
        "ev_1 done: status: must be 'completed' or 'failed', got 'done'",
    ]
    end(listener)


def test_a_member_of_a_group_misses_nothing_and_acts_once(node: Node, service: Service) -> None:
    """It begins with what it left unacknowledged, drops repeats, and acknowledges everything."""
    service.load("ev_1", "ev_2", "ev_3")
    service.start_worker()
    update = {"id": "ev_1", "status": "completed"}
    for _ in range(2):
        service.send(kwargs=update, task_id="m1")
    service.wait_until_empty()
    with closing(redis.Redis.from_url(service.users.consumer)) as died:
        died.xgroup_create("event-outcomes", "billing", "0")
        died.xreadgroup("billing", "host-1", {"event-outcomes": ">"}, count=1)
    start = ("outcomes-durable.js", "billing", "host-1")
    member = node.start(*start, REDIS_URL=service.users.consumer)
    assert lines(member, 1) == ["ev_1 completed: updated"]
    service.send(kwargs={"id": "ev_2", "status": "failed"})
    assert lines(member, 1) == ["ev_2 failed: updated"]
    end(member)
    assert service.redis.xpending("event-outcomes", "billing")["pending"] == 0

    service.send(kwargs={"id": "ev_3", "status": "failed"})
    member = node.start(*start, REDIS_URL=service.users.consumer)
    assert lines(member, 1) == ["ev_3 failed: updated"]
    end(member)


def test_a_member_of_a_group_outlives_what_was_trimmed(node: Node, service: Service) -> None:
    """An entry that it was given and that is gone by now is acknowledged and left out."""
    service.load("ev_1", "ev_2")
    service.start_worker()
    service.send(kwargs={"id": "ev_1", "status": "completed"})
    service.wait_until_empty()
    service.redis.xgroup_create("event-outcomes", "billing", "0")
    service.redis.xreadgroup("billing", "host-1", {"event-outcomes": ">"})
    service.redis.xtrim("event-outcomes", maxlen=0, approximate=False)
    service.send(kwargs={"id": "ev_2", "status": "completed"})
    start = ("outcomes-durable.js", "billing", "host-1")
    member = node.start(*start, REDIS_URL=service.users.consumer)
    assert lines(member, 1) == ["ev_2 completed: updated"]
    end(member)
    assert service.redis.xpending("event-outcomes", "billing")["pending"] == 0


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"outcome": "no JSON"}, "not an outcome: no JSON"),
        ({"outcome": "null"}, "not an outcome: null"),
        ({"outcome": "[1]"}, "not an outcome: [1]"),
        ({"other": "{}"}, "not an outcome: undefined"),
    ],
    ids=["no JSON", "null", "a list", "no field of that name"],
)
def test_a_member_of_a_group_outlives_what_is_no_outcome(
    node: Node, service: Service, entry: dict[str, str], said: str
) -> None:
    """It says so, acknowledges it, and goes on."""
    service.redis.xadd("event-outcomes", entry)
    outcome = {"id": "ev_1", "status": "completed", "updated": True, "messageId": "m", "index": 0}
    service.redis.xadd("event-outcomes", {"outcome": json.dumps(outcome)})
    start = ("outcomes-durable.js", "billing", "host-1")
    member = node.start(*start, REDIS_URL=service.users.consumer)
    assert lines(member, 2) == [said, "ev_1 completed: updated"]
    end(member)
    assert service.redis.xpending("event-outcomes", "billing")["pending"] == 0


def test_a_listener_outlives_what_is_no_outcome(node: Node, service: Service) -> None:
    """Somebody else may publish there too."""
    listener = node.start("outcomes-live.js", REDIS_URL=service.users.consumer)
    while not dict(service.redis.pubsub_numsub("event-outcomes"))["event-outcomes"]:
        assert listener.poll() is None
    for text in ("no JSON", "null", '{"id": "ev_1", "status": "failed", "updated": true}'):
        service.redis.publish("event-outcomes", text)
    assert lines(listener, 3) == [
        "not an outcome: no JSON",
        "not an outcome: null",
        "ev_1 failed: updated",
    ]
    end(listener)


def test_amqplib_publishes_to_rabbitmq(node: Node, quorum: Service) -> None:
    """Confirmed, into the quorum queue that the worker declared."""
    quorum.load("ev_1", "ev_2")
    quorum.start_worker()
    assert quorum.rabbitmq is not None
    ran = node.run(
        *("publish-with-amqplib.js", "import-7", "completed", "ev_1", "ev_2"),
        AMQP_URL=quorum.rabbitmq.url,
    )
    assert (ran.stdout, ran.stderr) == ("sent import-7: 2 updates\n", "")
    (first, second) = quorum.wait({"import-7": ["ev_1", "ev_2"]})["import-7"]
    assert first.updated
    assert second.updated
    assert statuses(quorum, "ev_1", "ev_2") == [("completed", "import-7")] * 2


@pytest.mark.parametrize(
    "command",
    [
        ["publish-with-celery-node.js", "m1", "completed", "ev_1"],
        ["publish-with-redis.js", "m1", "completed", "ev_1"],
        ["publish-with-amqplib.js", "m1", "completed", "ev_1"],
        ["update-over-http.js", "m1", "completed", "ev_1"],
        ["outcomes-live.js"],
        ["outcomes-durable.js"],
    ],
    ids=lambda command: command[0],
)
def test_trouble_is_one_line(node: Node, command: list[str]) -> None:
    """A server that is away ends an example with its reason and 1."""
    nowhere = f"://127.0.0.1:{free_port()}"
    ran = node.run(
        *command,
        REDIS_URL=f"redis{nowhere}",
        AMQP_URL=f"amqp{nowhere}",
        SETTLE_URL=f"http{nowhere}",
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert re.fullmatch(r".*ECONNREFUSED.*\n", ran.stderr)


def test_the_documented_message_is_all_a_worker_needs(service: Service) -> None:
    """It is plain as it stands, and what the page calls dispensable is so."""
    (text,) = re.findall(r"```json\n(.*?)```", CLIENTS.read_text("utf-8"), re.DOTALL)
    assert read_plain(fetched(text), max_updates=1)
    service.load("ev_1")
    service.start_worker()
    for number, dispensable in enumerate(("content-encoding", "delivery_info")):
        item = json.loads(text)
        item["headers"]["id"] = f"m{number}"
        for part in (item, item["properties"]):
            part.pop(dispensable, None)
        assert read_plain(fetched(json.dumps(item)), max_updates=1) is None
        service.redis.lpush("event-status-updates", json.dumps(item))
        service.wait_until_empty()
    (first,), (second,) = (service.wait({id_: ["ev_1"]})[id_] for id_ in ("m0", "m1"))
    assert first.updated
    assert second.reason == "already_completed"
