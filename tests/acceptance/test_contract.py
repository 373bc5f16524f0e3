"""Every row of the contract's outcome table, through a plain Celery client and a real worker."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.service import Service, Worker


@pytest.fixture(scope="module")
def worker(lasting_service: Service) -> Worker:
    """Give the worker that all of these tests share."""
    return lasting_service.start_worker(CELERY_RESULT_BACKEND=lasting_service.users.worker)


@pytest.fixture
def running(emptied_service: Service, worker: Worker) -> Iterator[Service]:
    """Give a service with one worker and a result backend."""
    assert worker.process.poll() is None
    emptied_service.load("ev_1", "ev_2", "ev_3", "ev_4")
    yield emptied_service
    emptied_service.wait_until_empty()


def test_every_row_of_the_outcome_table(running: Service) -> None:
    """One worker, every outcome there is, each as documented."""
    results = {
        "pending": running.send(kwargs={"id": "ev_1", "status": "completed"}),
        "failed": running.send(args=[[{"id": "ev_2", "status": "failed", "accountId": "acct_1"}]]),
    }
    for result in results.values():
        result.get(timeout=30)
    results |= {
        "already_completed": running.send(kwargs={"id": "ev_1", "status": "completed"}),
        "already_failed": running.send(kwargs={"id": "ev_2", "status": "completed"}),
        "unknown": running.send(kwargs={"id": "nobody", "status": "completed"}),
        "account": running.send(kwargs={"id": "ev_3", "status": "failed", "accountId": "x"}),
        "invalid": running.send(kwargs={"id": "ev_3", "status": "done"}),
        "not understood": running.send(args=["ev_3", "completed"]),
    }
    answers = {name: result.get(timeout=30)[0] for name, result in results.items()}

    assert {name: (one["updated"], one["reason"]) for name, one in answers.items()} == {
        "pending": (True, None),
        "failed": (True, None),
        "already_completed": (False, "already_completed"),
        "already_failed": (False, "already_failed"),
        "unknown": (False, "not_found"),
        "account": (False, "not_found"),
        "invalid": (False, "invalid"),
        "not understood": (False, "invalid"),
    }
    assert list(answers["pending"]) == [
        *("id", "updated", "status", "reason", "messageId", "index"),
        *("accountId", "eventType", "createdAt", "completedAt", "failedAt"),
    ]
    assert answers["pending"]["messageId"] == results["pending"].id
    assert answers["already_completed"]["completedAt"] == answers["pending"]["completedAt"]
    assert answers["unknown"]["accountId"] is None
    assert answers["invalid"]["error"]["statusCode"] == 400
    assert answers["not understood"]["id"] is None

    rows = running.database.read_events(["ev_1", "ev_2", "ev_3"])
    assert [rows[id_].status for id_ in ("ev_1", "ev_2", "ev_3")] == ["completed", "failed", None]
    assert rows["ev_1"].settled_by == results["pending"].id

    stream = [json.loads(fields["outcome"]) for _, fields in running.redis.xrange("event-outcomes")]
    assert {one["messageId"]: one for one in stream} == {
        results[name].id: one for name, one in answers.items()
    }
    dead = [fields for _, fields in running.redis.xrange("event-status-updates.dead")]
    letters = {letter["messageId"]: letter for letter in dead}
    assert set(letters) == {results["invalid"].id, results["not understood"].id}
    assert len(dead) == len(letters)
    invalid, not_understood = letters[results["invalid"].id], letters[results["not understood"].id]
    assert json.loads(invalid["raw"]) == {"id": "ev_3", "status": "done"}
    assert "body" in json.loads(not_understood["raw"])
    assert json.loads(not_understood["delivery"])["queue"] == "event-status-updates"
    running.wait_until_empty()


def test_a_message_sent_again_gets_the_same_outcomes(running: Service) -> None:
    """Under the same id it is the same message, with the timestamps of the first time."""
    message_id = str(uuid.uuid4())
    update = {"id": "ev_1", "status": "completed"}
    running.send(kwargs=update, task_id=message_id)
    running.wait({message_id: ["ev_1"]})
    position = running.outcomes.position()
    running.send(kwargs={"id": "ev_1", "status": "failed"}).get(timeout=30)
    running.send(kwargs=update, task_id=message_id)
    running.wait_until_empty()
    first, contradiction, again = (
        json.loads(fields["outcome"]) for _, fields in running.redis.xrange("event-outcomes")
    )
    assert first == again
    assert first["updated"]
    assert contradiction["reason"] == "already_completed"
    assert position != running.outcomes.position()


def test_a_bulk_message_is_answered_update_by_update(running: Service) -> None:
    """In its order; the first update of an event wins, and a bad one hurts nobody."""
    updates = [
        {"id": "ev_1", "status": "failed"},
        {"id": "ev_1", "status": "completed"},
        {"id": "", "status": "completed"},
        "nonsense",
        {"id": "ev_2", "status": "completed", "payload": {"x": [1, 2]}, "eventType": "ignored"},
        {"id": "ev_1", "status": "failed"},
    ]
    outcomes = running.send(args=[updates]).get(timeout=30)
    assert [(one["id"], one["reason"]) for one in outcomes] == [
        ("ev_1", None),
        ("ev_1", "already_failed"),
        ("", "invalid"),
        (None, "invalid"),
        ("ev_2", None),
        ("ev_1", None),
    ]
    assert "id:" in outcomes[2]["error"]["message"]
    assert [one["index"] for one in outcomes] == [0, 1, 2, 3, 4, 5]
    dead = running.channel.xrange("event-status-updates.dead")
    assert [letter["index"] for _, letter in dead] == ["2", "3"]


@pytest.mark.parametrize(
    "first",
    [{"status": "completed", "accountId": "other"}, {"status": "done"}, {"status": "failed"}],
    ids=["of another account", "invalid", "another status"],
)
def test_two_updates_of_one_event_can_be_told_apart(
    running: Service, first: dict[str, Any]
) -> None:
    """Whoever drops repeats by message and index keeps both, and drops what comes again."""
    updates = [{"id": "ev_1", **first}, {"id": "ev_1", "status": "completed"}]
    for _ in range(2):
        running.send(args=[updates], task_id="twice", ignore_result=True)
        running.wait_until_empty()
    entries = running.channel.xrange("event-outcomes")
    told = [json.loads(fields["outcome"]) for _, fields in entries]
    assert [one["index"] for one in told] == [0, 1, 0, 1]
    assert told[:2] == told[2:]
    assert told[0]["updated"] is (first == {"status": "failed"})
    assert told[1]["updated"] is not told[0]["updated"]


def test_live_listeners_hear_what_the_stream_keeps(running: Service) -> None:
    """The same object on both."""
    with running.outcomes.subscribe() as outcomes:
        result = running.send(kwargs={"id": "ev_1", "status": "completed"}, ignore_result=True)
        heard = next(outcomes)
    assert heard.message_id == result.id
    ((_, fields),) = running.redis.xrange("event-outcomes")
    assert fields["outcome"].encode() == heard.to_json()
    running.wait_until_empty()
    assert not running.redis.exists(f"celery-task-meta-{result.id}")


def test_celerys_own_message_options_keep_their_meaning(running: Service) -> None:
    """Expired and revoked messages are dropped, delayed ones wait for their time."""
    expired = running.send(
        kwargs={"id": "ev_1", "status": "completed"}, expires=datetime(2020, 1, 1, tzinfo=UTC)
    )
    eta = datetime.now(UTC) + timedelta(seconds=1.5)
    delayed = running.send(kwargs={"id": "ev_2", "status": "completed"}, eta=eta)
    revoked = running.send(kwargs={"id": "ev_3", "status": "completed"}, countdown=1.5)
    running.operator.control.revoke(revoked.id, reply=True)
    (outcome,) = delayed.get(timeout=30)
    assert datetime.fromisoformat(outcome["completedAt"]) >= eta
    running.wait_until_empty()
    assert [expired.state, revoked.state] == ["REVOKED", "REVOKED"]
    rows = running.database.read_events(["ev_1", "ev_2", "ev_3"])
    assert [rows[id_].status for id_ in ("ev_1", "ev_2", "ev_3")] == [None, "completed", None]


@pytest.mark.parametrize(
    ("body", "headers", "content_type"),
    [
        pytest.param("no JSON", {"task": "events.update_status"}, "application/json", id="text"),
        pytest.param("[[], {}, {}]", {}, "application/json", id="no-task"),
        pytest.param("[[], {}, {}]", {"task": "unheard.of"}, "application/json", id="other-task"),
        pytest.param(
            b"\x80\x04K\x01.",
            {"task": "events.update_status"},
            "application/x-python-serialize",
            id="pickle",
        ),
    ],
)
def test_whatever_is_in_the_queue_is_answered(
    running: Service, body: Any, headers: dict[str, str], content_type: str
) -> None:
    """Answered as invalid under its id, kept as a dead letter, and the next message is served."""
    with running.producer.producer_or_acquire() as producer:
        producer.publish(
            body,
            routing_key="event-status-updates",
            headers={**headers, "id": "odd"},
            content_type=content_type,
            content_encoding="binary" if isinstance(body, bytes) else "utf-8",
        )
    outcomes = running.send(kwargs={"id": "ev_1", "status": "completed"}).get(timeout=30)
    assert outcomes[0]["updated"]
    running.wait_until_empty()
    odd = [
        outcome
        for outcome in (
            json.loads(fields["outcome"]) for _, fields in running.redis.xrange("event-outcomes")
        )
        if outcome["messageId"] == "odd"
    ]
    assert [(one["id"], one["reason"]) for one in odd] == [(None, "invalid")]
    ((_, letter),) = running.redis.xrange("event-status-updates.dead")
    assert letter["messageId"] == "odd"
    assert letter["reason"]
