"""What Settle is compared with does the same job, each on its own queue."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from bench import measuring
from bench.contenders import CONTENDERS
from bench.event_ids import event_id
from bench.filling import fill
from bench.rig import Rig
from db.migrate import migrate
from tests.rabbitmq import RabbitMQ
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.contenders import Contender

UPDATES = 120
GONE, SETTLED = event_id(7), event_id(8)


@pytest.fixture
def rig(database_url: str, redis_url: str) -> Rig:
    """Give servers with nothing on them."""
    migrate(database_url)
    return Rig(database_url, redis_url)


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMQ]:
    """Give a node of their own: its queue is deleted, and not of the kind that others declare."""
    with started(RabbitMQ) as node:
        yield node


@pytest.fixture
def on_rabbitmq(rig: Rig, rabbitmq: RabbitMQ) -> Rig:
    """Give RabbitMQ too."""
    rig.rabbitmq_url = rabbitmq.url
    return rig


def contender(name: str, updates_each: int = 1) -> Contender:
    """Return one that settles but a few updates."""
    found = next(one for one in CONTENDERS if one.name == name)
    return replace(found, messages=UPDATES // updates_each, updates_each=updates_each)


def settle(rig: Rig, who: Contender) -> dict[str, dict[str, Any]]:
    """Let a contender settle events, of which one is gone and one settled, and return outcomes."""
    rig.reset(UPDATES)
    with psycopg.connect(rig.database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM events WHERE id = %s", [GONE])
        statement = "UPDATE events SET failed_at = now(), settled_by = 'other' WHERE id = %s"
        connection.execute(statement, [SETTLED])
    fill(rig, who)
    with rig.workers(who) as running:
        rig.wait(UPDATES, running)
    entries = rig.redis.xrange("event-outcomes")
    outcomes = [json.loads(fields["outcome"]) for _, fields in entries]
    return {outcome["id"]: outcome for outcome in outcomes}


def has_the_same_job(rig: Rig, who: Contender) -> None:
    """See that each event is settled and each update has an outcome that is true."""
    outcomes = settle(rig, who)
    assert sorted(outcomes) == [event_id(number) for number in range(UPDATES)]
    reasons = {id_: one["reason"] for id_, one in outcomes.items() if not one["updated"]}
    assert reasons == {GONE: "not_found", SETTLED: "already_failed"}
    assert rig.settled() == UPDATES - 1
    for outcome in outcomes.values():
        assert (outcome["updated"], outcome["reason"]) != (False, None)
        assert bool(outcome["completedAt"]) is outcome["updated"]
        assert outcome["messageId"]


@pytest.mark.node
@pytest.mark.parametrize(
    "who",
    [
        pytest.param(contender("Graphile Worker"), id="a job for each"),
        pytest.param(contender("Graphile Worker, gathered"), id="gathered"),
        pytest.param(contender("Graphile Worker, bulk of 1,000", 40), id="bulk"),
    ],
)
def test_graphile_worker_does_the_same_job(rig: Rig, who: Contender) -> None:
    """Updates wait in PostgreSQL, and nothing of it is left there when another one's turn comes."""
    if not (shutil.which("node") or os.environ.get("CI")):
        pytest.skip("no Node.js: install Debian's nodejs and npm")
    has_the_same_job(rig, who)
    rig.reset(1)
    with psycopg.connect(rig.database_url) as connection:
        found = connection.execute("SELECT to_regnamespace('graphile_worker')").fetchone()
    assert found == (None,)


@pytest.mark.parametrize("name", ["one task per update, RabbitMQ", "celery-batches, RabbitMQ"])
def test_the_other_peers_do_the_same_job_on_rabbitmq(on_rabbitmq: Rig, name: str) -> None:
    """celery-batches from a classic queue, for its Celery takes no other."""
    if "batches" in name and not (shutil.which("uv") or os.environ.get("CI")):
        pytest.skip("no uv, which makes the environment of celery-batches")
    has_the_same_job(on_rabbitmq, contender(name))


def test_a_consumer_of_rabbitmq_that_only_counts(on_rabbitmq: Rig) -> None:
    """It empties the queue, and says what that cost RabbitMQ."""
    # More than is fetched ahead: that is on its way before anybody looks.
    run = measuring.rabbitmq_alone(on_rabbitmq, 12_000)
    assert run.rate > 0
    assert run.microseconds["RabbitMQ"] > 0


@pytest.mark.parametrize("name", ["Settle", "Settle, RabbitMQ"])
def test_latencies_are_measured_on_either_broker(on_rabbitmq: Rig, name: str) -> None:
    """Of every update that is sent, alone and in company."""
    who = contender(name)
    alone = measuring.lonely_latencies(on_rabbitmq, who, seconds=1)
    loaded = measuring.latencies_under_load(on_rabbitmq, 200, who, seconds=1)
    assert (len(alone.seconds), len(loaded.seconds)) == (50, 200)
    assert min(alone.seconds + loaded.seconds) > 0
    used = {"worker", "PostgreSQL", "Redis", "sending", "listening"}
    assert alone.microseconds.keys() == loaded.microseconds.keys() >= used
