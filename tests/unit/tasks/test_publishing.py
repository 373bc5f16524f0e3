"""What goes out, as consumers see it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import fakeredis
import msgspec
import pytest
import redis

from settle_client.moments import timestamp
from settle_client.outcome import Outcome
from tasks.errors import OutcomesNotPublishedError
from tasks.publishing import DeadLetter, OutcomePublisher
from tasks.settle import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTCOME = Outcome(
    id="ev_1",
    updated=True,
    status="completed",
    reason=None,
    message_id="m",
    index=0,
    account_id="acct_9",
    event_type="order.created",
    created_at=datetime(2026, 11, 23, 9, tzinfo=UTC),
    completed_at=datetime(2026, 11, 23, 9, 0, 1, 123456, tzinfo=UTC),
    failed_at=None,
)


@pytest.fixture
def client() -> Iterator[Any]:
    """Give a Redis-shaped object."""
    with fakeredis.FakeRedis(decode_responses=True) as client:
        yield client


def test_an_outcome_is_the_documented_object() -> None:
    """The very text of the contract, its fields in its order."""
    assert OUTCOME.to_json().decode() == (
        '{"id":"ev_1","updated":true,"status":"completed","reason":null,"messageId":"m",'
        '"index":0,"accountId":"acct_9","eventType":"order.created",'
        '"createdAt":"2026-11-23T09:00:00.000000Z","completedAt":"2026-11-23T09:00:01.123456Z",'
        '"failedAt":null}'
    )
    assert json.loads(OUTCOME.to_json()) == OUTCOME.to_dict()


def test_an_outcome_reads_back_as_it_was_written() -> None:
    """Consumers get the object that the worker had."""
    error = invalid("m", None, None, "why")
    for outcome in (OUTCOME, error):
        assert Outcome.from_json(outcome.to_json()) == outcome
    assert error.to_dict()["error"]["statusCode"] == 400


def test_a_reason_that_is_newer_than_its_reader_is_read() -> None:
    """Its text is passed on; that the schema lists those of today changes nothing."""
    text = invalid("m", "ev_1", "completed", "why").to_json().replace(b"invalid", b"postponed")
    assert Outcome.from_json(text).reason == "postponed"


def test_a_timestamp_is_in_utc_with_microseconds() -> None:
    """Whatever the session's time zone."""
    moment = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert timestamp(moment) == "2025-12-31T23:30:00.000000Z"


def test_outcomes_go_to_the_stream_and_to_listeners_in_order(client: Any) -> None:
    """The same text on both, under one name."""
    publisher = OutcomePublisher(client, stream_max_length=100)
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("event-outcomes")
        publisher.publish([OUTCOME, msgspec.structs.replace(OUTCOME, id="ev_2")])
        heard = [message["data"] for message in iter(pubsub.get_message, None) if message]
    stored = [fields["outcome"] for _, fields in client.xrange("event-outcomes")]
    assert [json.loads(text)["id"] for text in stored] == ["ev_1", "ev_2"]
    assert not heard or heard == stored


def test_many_outcomes_are_published_in_several_calls(client: Any) -> None:
    """None is lost where one call ends and the next begins."""
    OutcomePublisher(client, stream_max_length=10_000).publish([OUTCOME] * 2_001)
    assert client.xlen("event-outcomes") == 2_001


def test_the_stream_is_trimmed(client: Any) -> None:
    """Its length stays about what the setting says."""
    publisher = OutcomePublisher(client, stream_max_length=10)
    publisher.publish([OUTCOME] * 1_000)
    assert client.xlen("event-outcomes") < 1_000


def test_a_dead_letter_keeps_everything(client: Any) -> None:
    """The raw message, the reason, the time and how it was delivered."""
    letter = DeadLetter("m", "why", '{"raw": true}', {"queue": "q", "redelivered": False})
    OutcomePublisher(client, stream_max_length=10).publish([], [letter])
    ((_, entry),) = client.xrange("event-status-updates.dead")
    assert entry["messageId"] == "m"
    assert entry["reason"] == "why"
    assert entry["raw"] == '{"raw": true}'
    assert json.loads(entry["delivery"]) == {"queue": "q", "redelivered": False}
    assert datetime.fromisoformat(entry["time"]).tzinfo is not None


def test_the_time_of_a_dead_letter_is_the_worlds(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the zone of the clock on the wall; and without an id that field is empty."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        letter = DeadLetter(None, "why", "raw", {})
        OutcomePublisher(client, stream_max_length=10).publish([], [letter])
    finally:
        monkeypatch.undo()
        time.tzset()
    ((_, entry),) = client.xrange("event-status-updates.dead")
    assert abs(datetime.fromisoformat(entry["time"]) - datetime.now(UTC)) < timedelta(hours=1)
    assert entry["messageId"] == ""


def test_what_was_published_is_known_where_the_rest_could_not_be(client: Any) -> None:
    """So that the next try publishes the rest alone."""
    publisher = OutcomePublisher(client, stream_max_length=10_000)
    letters = [DeadLetter(None, "why", "raw", {})] * 3
    calls = iter([True, True, False])
    publish = publisher._publish

    def fail_at_the_third(**arguments: Any) -> None:
        if not next(calls):
            raise redis.exceptions.OutOfMemoryError("used memory > maxmemory")
        publish(**arguments)

    publisher._publish = fail_at_the_third  # type: ignore[assignment]
    with pytest.raises(OutcomesNotPublishedError) as failed:
        publisher.publish([OUTCOME] * 2_500, letters)
    assert (failed.value.letters, failed.value.outcomes) == (3, 2_000)
    assert client.xlen("event-outcomes") == 2_000


def test_an_unreachable_redis_is_reported_as_such() -> None:
    """The batch is then held and published later."""
    server = fakeredis.FakeServer()
    server.connected = False
    publisher = OutcomePublisher(fakeredis.FakeRedis(server=server), stream_max_length=10)
    with pytest.raises(OutcomesNotPublishedError, match=r"^ConnectionError: .+"):
        publisher.publish([OUTCOME])
    with pytest.raises(OutcomesNotPublishedError, match=r"^ConnectionError: .+"):
        publisher.check()
