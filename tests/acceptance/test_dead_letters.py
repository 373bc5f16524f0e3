"""The dead letters, as an operator looks after them, and the worker that stops making them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.rabbitmq import RabbitMQ
from tests.service import eventually
from worker.batching.breaker import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.service import Service

pytestmark = pytest.mark.storms

QUEUE, DEAD = "event-status-updates", "event-status-updates.dead"


def dead(
    service: Service,
    *arguments: str,
    python: Sequence[str] = ("-m", "cli"),
    broker_url: str | None = None,
) -> Any:
    """Run `settle dead` as the operator."""
    return subprocess.run(
        [sys.executable, *python, "dead", *arguments],
        env={
            **os.environ,
            "CELERY_BROKER_URL": broker_url or service.users.operator,
            "SETTLE_OUTCOME_URL": service.users.operator,
            "DATABASE_URL": service.database_url,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def make_letters(service: Service) -> dict[str, str]:
    """Let a worker refuse one update of a message, and a whole message; return entries by reason.

    With two updates a message allowed, three are too many; they are fine later.
    """
    worker = service.start_worker(SETTLE_MESSAGE_MAX_UPDATES="2")
    updates = [{"id": f"ev_{number}", "status": "completed"} for number in (1, 2, 3)]
    large = service.send(args=[updates], ignore_result=True)
    partly = service.send(
        args=[[{"id": "ev_4", "status": "failed"}, {"id": "ev_4", "status": "done"}]],
        ignore_result=True,
    )
    service.wait({large.id: [""], partly.id: ["ev_4"]})
    eventually(lambda: service.channel.xlen(DEAD) >= 2)
    assert worker.stop() == 0
    listed = [json.loads(line) for line in dead(service, "list", "--json").stdout.splitlines()]
    assert {one["messageId"] for one in listed} == {large.id, partly.id}
    return {"large" if one["messageId"] == large.id else "status": one["id"] for one in listed}


def test_dead_letters_are_listed_and_shown(service: Service) -> None:
    """With the raw message, the reason, the time and how it was delivered."""
    service.load("ev_1", "ev_2", "ev_3", "ev_4")
    letters = make_letters(service)
    counted = dead(service, "list").stdout
    assert "1 x status: must be 'completed' or 'failed', got …" in counted
    assert "1 x a message carries … to … updates, this one …" in counted
    listed = dead(service, "list", "--all").stdout
    assert all(entry in listed for entry in letters.values())
    (newest,) = (one.stdout for one in [dead(service, "list", "--limit", "1", "--json")])
    assert json.loads(newest)["id"] == max(letters.values())
    shown = dead(service, "show", letters["status"]).stdout
    assert "status: must be 'completed' or 'failed', got 'done'" in shown
    assert '"status": "done"' in shown
    assert ["index", "1"] in [line.split() for line in shown.splitlines()]
    assert QUEUE in shown


def test_a_letter_that_is_nested_deeply_is_shown_as_it_is(service: Service) -> None:
    """It lies there for a person to look at."""
    raw = "[" * 20_000 + "]" * 20_000
    entry = service.channel.xadd(DEAD, {"messageId": "m", "raw": raw})
    shown = dead(service, "show", entry)
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[-1] == raw


def test_a_letter_that_is_no_text_is_shown_as_it_can_be(service: Service) -> None:
    """It hides no other, and can be dropped."""
    entry = service.channel.xadd(DEAD, {"messageId": "m", "reason": b"\xff", "raw": b"\xfe"})
    service.channel.xadd(DEAD, {"messageId": "m2", "reason": "another"})
    listed = dead(service, "list")
    assert (listed.returncode, listed.stdout.count("1 x ")) == (0, 2), listed.stderr
    assert dead(service, "show", entry).stdout.splitlines()[-1] == "\\xfe"
    assert dead(service, "drop", entry, "--yes").stdout == "Dropped 1.\n"


def test_a_dry_run_says_what_would_happen(service: Service) -> None:
    """Letter by letter, from the table as it is, and changes nothing."""
    service.load("ev_1", "ev_2")
    letters = make_letters(service)
    ended = dead(service, "replay", "--all", "--dry-run")
    assert ended.returncode == 2
    assert f"{letters['large']}: ev_1 would be completed" in ended.stdout
    assert f"{letters['large']}: ev_3 would not be updated: not_found" in ended.stdout
    assert f"{letters['status']}: still not valid, kept: status" in ended.stderr
    assert service.channel.xlen(DEAD) == 2
    assert service.redis.llen(QUEUE) == 0


def test_equal_letters_that_are_still_not_valid_are_one_line(service: Service) -> None:
    """With a count, and the first and the last: there may be many thousands."""
    first, *_, last = [
        service.channel.xadd(DEAD, {"messageId": "m", "raw": f'{{"id":"{n}"}}'}) for n in range(500)
    ]
    ended = dead(service, "replay", "--all")
    assert ended.returncode == 2
    assert ended.stderr == (
        f"{first} and 499 more, up to {last}: still not valid, kept: status: is required\n"
    )
    assert service.channel.xlen(DEAD) == 500


def test_a_letter_is_sent_again_and_settled(service: Service) -> None:
    """As a message of its own, by the one way that every update goes."""
    service.load("ev_1", "ev_2", "ev_3", "ev_4")
    letters = make_letters(service)
    # Under their ids another answer would look like a repeat.
    answered = {letter["messageId"] for _, letter in service.channel.xrange(DEAD)}
    ended = dead(service, "replay", letters["large"])
    assert ended.returncode == 0, ended.stderr
    assert service.channel.xlen(DEAD) == 1
    service.start_worker()
    service.wait_until_empty()
    rows = service.database.read_events(["ev_1", "ev_2", "ev_3"])
    assert {row.status for row in rows.values()} == {"completed"}
    assert f"message {rows['ev_1'].settled_by}" in ended.stdout
    assert rows["ev_1"].settled_by not in answered


def test_letters_are_listed_sent_again_and_dropped_by_reason(service: Service) -> None:
    """Any part of it will do; no other letter is touched."""
    service.load("ev_1", "ev_2", "ev_3", "ev_4")
    letters = make_letters(service)
    listed = dead(service, "list", "--reason", "this one 3", "--json").stdout
    assert [json.loads(line)["id"] for line in listed.splitlines()] == [letters["large"]]
    ended = dead(service, "replay", "--reason", "a message carries")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"{letters['large']}: sent again")
    assert [entry for entry, _ in service.channel.xrange(DEAD)] == [letters["status"]]
    nothing = dead(service, "drop", "--reason", "a message carries", "--yes")
    assert nothing.returncode == 2
    assert "no dead letter has this reason" in nothing.stderr
    assert dead(service, "drop", "--reason", "status: ", "--yes").stdout == "Dropped 1.\n"
    assert dead(service, "drop", "--reason", "status: ", "--all", "--yes").returncode == 2


def test_what_is_not_valid_of_a_letter_is_kept(service: Service) -> None:
    """The rest of it is sent."""
    service.load("ev_1", "ev_2", "ev_3")
    worker = service.start_worker(SETTLE_MESSAGE_MAX_UPDATES="2")
    updates = [{"id": f"ev_{number}", "status": "completed"} for number in (1, 2, 3)]
    updates[1]["status"] = "done"
    message = service.send(args=[updates], ignore_result=True)
    service.wait({message.id: [""]})
    assert worker.stop() == 0
    ended = dead(service, "replay", "--all")
    assert ended.returncode == 2
    assert "a part still not valid, kept: status" in ended.stderr
    ((_, left),) = service.channel.xrange(DEAD)
    assert json.loads(left["raw"]) == updates[1]
    assert left["messageId"] == message.id
    service.start_worker()
    service.wait_until_empty()
    rows = service.database.read_events(["ev_1", "ev_2", "ev_3"])
    assert [rows[f"ev_{number}"].status for number in (1, 2, 3)] == ["completed", None, "completed"]


@pytest.mark.parametrize("compression", [None, "zlib"], ids=["plain", "compressed"])
def test_a_message_with_which_workers_died_is_sent_again(
    service: Service, compression: str | None
) -> None:
    """It was kept as it lay in the queue."""
    service.load("ev_1")
    sent = service.send(
        kwargs={"id": "ev_1", "status": "completed"}, compression=compression, ignore_result=True
    )
    item = json.loads(service.redis.rpop(QUEUE))
    item["headers"]["x-delivery-count"] = 6
    service.redis.lpush(QUEUE, json.dumps(item))
    worker = service.start_worker()
    service.wait({sent.id: [""]})
    assert worker.stop() == 0
    ended = dead(service, "replay", "--all")
    assert ended.returncode == 0, ended.stderr
    assert service.channel.xlen(DEAD) == 0
    service.start_worker()
    service.wait_until_empty()
    assert service.database.read_events(["ev_1"])["ev_1"].status == "completed"


def test_a_replay_that_is_killed_loses_nothing(service: Service) -> None:
    """After sending, before dropping: made again, it sends the same message again."""
    service.load("ev_1", "ev_2", "ev_3", "ev_4")
    letters = make_letters(service)
    killing = (
        "import os, cli.main; from tasks.dead_letters import DeadLetters;"
        "DeadLetters.replace = lambda *_: os.kill(os.getpid(), 9); cli.main.main()"
    )
    killed = dead(service, "replay", letters["large"], python=("-c", killing))
    assert killed.returncode == -9
    assert service.channel.xlen(DEAD) == 2
    assert dead(service, "replay", letters["large"]).returncode == 0
    items = [json.loads(item) for item in service.redis.lrange(QUEUE, 0, -1)]
    assert len(items) == 2
    assert len({item["headers"]["id"] for item in items}) == 1
    service.start_worker()
    service.wait_until_empty()
    rows = service.database.read_events(["ev_1", "ev_2", "ev_3"])
    assert {row.status for row in rows.values()} == {"completed"}


@pytest.mark.rabbitmq
@pytest.mark.parametrize("trouble", ["hangs", "is short of memory"])
def test_a_letter_is_kept_until_the_broker_says_that_it_has_it(
    quorum: Service, trouble: str
) -> None:
    """One that hangs, or takes nothing at the moment, may end without ever having read it."""
    service, broker = quorum, quorum.rabbitmq
    assert isinstance(broker, RabbitMQ)
    letter = {"messageId": "m", "reason": "r", "raw": json.dumps({"id": "a", "status": "failed"})}
    entry = service.channel.xadd(DEAD, letter)
    assert broker.pid is not None
    if trouble == "hangs":
        psutil.Process(broker.pid).suspend()
    else:
        broker.control("set_vm_memory_high_watermark", "absolute", "1")
    try:
        ended = dead(service, "replay", entry, broker_url=broker.url)
    finally:
        psutil.Process(broker.pid).resume()
        broker.control("set_vm_memory_high_watermark", "0.6")
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: the broker of CELERY_BROKER_URL: ")
    assert "Traceback" not in ended.stderr
    assert service.channel.xlen(DEAD) == 1
    ended = dead(service, "replay", entry, broker_url=broker.url)
    assert ended.returncode == 0, ended.stderr
    assert service.channel.xlen(DEAD) == 0
    eventually(lambda: broker.waiting_or_held() > 0)


def test_letters_are_dropped_when_somebody_says_so(service: Service) -> None:
    """Those that are there, even if others are not."""
    letters = make_letters(service)
    assert "add --yes" in dead(service, "drop", "--all").stderr
    ended = dead(service, "drop", "1-1", "nonsense", letters["large"], "--yes")
    assert ended.returncode == 2
    assert ended.stderr.count("there is no such dead letter") == 2
    assert service.channel.xlen(DEAD) == 1
    assert dead(service, "drop", "--all", "--yes").stdout == "Dropped 1.\n"
    assert dead(service, "list").stdout == "There are no dead letters.\n"


def test_a_queue_of_rubbish_is_left_alone(service: Service) -> None:
    """Until somebody has seen to it; what is good is settled before and after."""
    service.load("ev_1", "ev_2")
    good = service.send(kwargs={"id": "ev_1", "status": "completed"}, ignore_result=True)
    for _ in range(1_000):
        service.send(kwargs={"id": "ev_2", "status": "done"}, ignore_result=True)
    worker = service.start_worker()
    worker.wait_for_log("nothing is consumed any more")
    assert service.wait({good.id: ["ev_1"]})[good.id][0].updated
    # Something is to be seen of it.
    eventually(lambda: service.channel.xlen(DEAD) >= SAMPLE)
    # What was on its way is set aside, or goes back.
    eventually(lambda: service.redis.llen(QUEUE) + service.channel.xlen(DEAD) == 1_000)
    assert service.redis.llen(QUEUE) >= 900
    assert worker.process.poll() is None
    late = service.send(kwargs={"id": "ev_2", "status": "failed"}, ignore_result=True)

    # What the log advises, though the same lies first in the queue.
    control_consumer(service, "add_consumer")
    worker.wait_for_log("messages are consumed again")
    assert service.wait({late.id: ["ev_2"]})[late.id][0].updated
    service.wait_until_empty()
    assert service.channel.xlen(DEAD) == 1_000


def control_consumer(service: Service, what: str) -> None:
    """Do what an operator does."""
    subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "control", what, QUEUE],
        env={**os.environ, "CELERY_BROKER_URL": service.users.operator},
        check=True,
        capture_output=True,
    )


def test_everybody_says_the_same_of_a_worker_that_stopped_consuming(service: Service) -> None:
    """The doctor, the table of all workers, and the probe: it is there, and why it does nothing."""
    for _ in range(200):
        service.send(kwargs={"id": "ev_2", "status": "done"}, ignore_result=True)
    health = service.folder / "health.json"
    worker = service.start_worker(SETTLE_HEALTH_FILE=str(health))
    worker.wait_for_log("nothing is consumed any more")
    says = "it does not consume: 100% of the latest messages are not valid"
    environment = {**os.environ, **service.environment, "SETTLE_HEALTH_FILE": str(health)}

    def settle(*arguments: str, user: str = service.users.worker) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            env={**environment, "CELERY_BROKER_URL": user},
            capture_output=True,
            text=True,
            check=False,
        )

    eventually(lambda: settle("health", "ready").stderr == f"not ready: {says}\n")
    results = json.loads(settle("doctor", "--json").stdout)["checks"]
    (found,) = [one for one in results if one["check"] == "answering"]
    assert found["verdict"] == "failure"
    assert found["found"].endswith(f"is not ready: {says}")
    assert "add_consumer" in found["fix"]
    assert "SETTLE_DEAD_LETTER_MAX_SHARE=1" in found["fix"]
    (row,) = json.loads(settle("top", "--json", user=service.users.operator).stdout)["workers"]
    assert (row["ready"], row["readyWhy"]) == (False, says)
