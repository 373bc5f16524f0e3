"""Outcomes that could not be published: kept, and published before anything else."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest
import redis

from gateway.events.publishing import PatientPublisher
from gateway.metrics import CATALOGUE
from settle_client.names import OUTCOMES
from settle_client.update import StatusUpdate
from tasks.errors import OutcomesNotPublishedError
from tasks.publishing import DeadLetter, OutcomePublisher
from tasks.settle import outcome_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settle_client.outcome import Outcome

LETTER = DeadLetter("m", "is bad", "{}", {"door": "http"})


def outcome(id_: str) -> Outcome:
    """Make an outcome."""
    return outcome_of("m", StatusUpdate(id=id_, status="completed"), None)


class Channel:
    """A result channel that may be away."""

    def __init__(self) -> None:
        self.redis = fakeredis.FakeServer()
        client = fakeredis.FakeRedis(server=self.redis)
        self.publisher = PatientPublisher(OutcomePublisher(client, stream_max_length=1_000))

    @property
    def published(self) -> list[str]:
        """Return the ids of what was published."""
        client: Any = fakeredis.FakeRedis(server=self.redis)
        return [json.loads(fields[b"outcome"])["id"] for _, fields in client.xrange(OUTCOMES)]

    def go_away(self) -> None:
        """Answer nobody."""
        self.redis.connected = False

    def come_back(self) -> None:
        """Answer again."""
        self.redis.connected = True


def unpublished() -> float | None:
    """Return what the metric says."""
    return CATALOGUE.registry.get_sample_value("settle_gateway_unpublished_outcomes")


def test_what_can_be_published_is_not_kept() -> None:
    """There is nothing to catch up on."""
    channel = Channel()
    channel.publisher.publish([outcome("ev_1")], [])
    channel.publisher.catch_up()
    assert (channel.published, len(channel.publisher)) == (["ev_1"], 0)


def test_what_could_not_be_published_is_published_later_and_in_order() -> None:
    """By whoever catches up, once; meanwhile the metric says how much there is."""
    channel = Channel()
    channel.go_away()
    for ids in (["ev_1", "ev_2"], ["ev_3"]):
        with pytest.raises(OutcomesNotPublishedError):
            channel.publisher.publish([outcome(id_) for id_ in ids], [])
    for _ in range(2):
        with pytest.raises(OutcomesNotPublishedError):
            channel.publisher.catch_up()
    assert (len(channel.publisher), unpublished()) == (3, 3)
    channel.come_back()
    channel.publisher.catch_up()
    channel.publisher.catch_up()
    assert channel.published == ["ev_1", "ev_2", "ev_3"]
    assert (len(channel.publisher), unpublished()) == (0, 0)


def test_dead_letters_are_kept_with_their_outcomes() -> None:
    """A person gets to see them, too."""
    channel = Channel()
    channel.go_away()
    with pytest.raises(OutcomesNotPublishedError):
        channel.publisher.publish([outcome("ev_1")], [LETTER])
    channel.come_back()
    channel.publisher.catch_up()
    client: Any = fakeredis.FakeRedis(server=channel.redis)
    ((_, letter),) = client.xrange("event-status-updates.dead")
    assert letter[b"messageId"] == b"m"


def test_what_was_published_is_not_kept() -> None:
    """Each outcome and each letter goes out once, however many tries it takes."""
    told: list[Any] = []

    class Reluctant:
        """A publisher that takes one of each at a time."""

        def publish(self, outcomes: Sequence[Outcome], letters: Sequence[DeadLetter]) -> None:
            told.extend([*letters[:1], *(one.id for one in outcomes[:1])])
            if len(outcomes) > 1:
                raise OutcomesNotPublishedError(letters=len(letters[:1]), outcomes=1)

    reluctant: Any = Reluctant()
    publisher = PatientPublisher(reluctant)
    with pytest.raises(OutcomesNotPublishedError):
        publisher.publish([*map(outcome, "abc")], [LETTER])
    with pytest.raises(OutcomesNotPublishedError):
        publisher.catch_up()
    publisher.catch_up()
    assert told == [LETTER, "a", "b", "c"]
    assert len(publisher) == 0


def test_only_one_thread_catches_up() -> None:
    """The others see that the channel is away, and wait for nobody."""
    entered, go_on = threading.Event(), threading.Event()

    class Slow:
        """A publisher that fails first and then takes its time."""

        away = True

        def publish(self, outcomes: Sequence[Outcome], letters: Sequence[DeadLetter]) -> None:
            if self.away:
                raise OutcomesNotPublishedError
            entered.set()
            go_on.wait()

    slow: Any = Slow()
    publisher = PatientPublisher(slow)
    with pytest.raises(OutcomesNotPublishedError):
        publisher.publish([outcome("ev_1")], [])
    slow.away = False
    catching_up = threading.Thread(target=publisher.catch_up)
    catching_up.start()
    entered.wait()
    with pytest.raises(OutcomesNotPublishedError):
        publisher.catch_up()
    go_on.set()
    catching_up.join()
    publisher.catch_up()
    assert len(publisher) == 0


def test_closing_tries_once_more(caplog: pytest.LogCaptureFixture) -> None:
    """What is left then is said to be."""
    channel = Channel()
    channel.go_away()
    with pytest.raises(OutcomesNotPublishedError) as away:
        channel.publisher.publish([outcome("ev_1"), outcome("ev_2")], [])
    assert isinstance(away.value.__cause__, redis.RedisError)
    channel.publisher.close()
    (record,) = caplog.records
    assert (record.message, vars(record)["outcomes"]) == ("outcomes not published", 2)
    channel.come_back()
    channel.publisher.close()
    assert channel.published == ["ev_1", "ev_2"]
    assert len(caplog.records) == 1
