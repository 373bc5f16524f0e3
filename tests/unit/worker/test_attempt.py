"""One try of a batch in a pool slot."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from settle_client.outcome import Outcome
from settle_client.update import StatusUpdate
from tasks.errors import OutcomesNotPublishedError
from tasks.messages import InvalidUpdate, Message
from tasks.publishing import DeadLetter
from tasks.settle import settle_batch
from tests.model import ReferenceEvents
from worker.applying import attempt
from worker.applying.attempt import MAX_UNPUBLISHED, work
from worker.job import Done, Job, NotDone

MESSAGE = Message("m", (StatusUpdate(id="a", status="completed"),))


class Service:
    """Knows no event, and publishes only while Redis is there."""

    def __init__(self) -> None:
        self.redis_is_away = False
        self.applied = 0
        self.published: list[Any] = []
        self.published_with_letters: list[Any] = []
        self.looked_up: set[str] = set()
        self.takes_one = False
        self.told: list[Any] = []

    def were_applied(self, messages: Any) -> list[bool]:
        """Look up."""
        return [message.id in self.looked_up for message in messages]

    def apply(self, messages: Any) -> Any:
        """Apply."""
        self.applied += 1
        return settle_batch(messages, ReferenceEvents({}))

    def publish(self, outcomes: Any, letters: Any) -> None:
        """Publish."""
        told = [one for many in outcomes for one in many]
        if self.redis_is_away:
            self.told += [*letters[:1], *told[:1]]
            done = {"letters": len(letters[:1]), "outcomes": len(told[:1])}
            raise OutcomesNotPublishedError("away " * 10_000, **(done if self.takes_one else {}))
        self.told += [*letters, *told]
        self.published.append(outcomes)
        self.published_with_letters.append((outcomes, letters))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """Give the service of the slot."""
    service = Service()
    monkeypatch.setattr(attempt, "service", lambda: service)
    monkeypatch.setattr(attempt, "_unpublished", {})
    return service


def job(key: str = "k", *messages: Message) -> Job:
    """Make a job."""
    messages = messages or (MESSAGE,)
    return Job(key, messages, ({},) * len(messages), (True,) * len(messages))


def test_a_batch_is_applied_and_published(service: Service) -> None:
    """The report says how many outcomes say what."""
    done = work(job())
    assert isinstance(done, Done)
    assert done.summary.reasons == {"not_found": 1}
    assert service.published[0][0][0].message_id == "m"
    assert not attempt._unpublished


def test_what_was_committed_is_published_later_without_being_applied_again(
    service: Service,
) -> None:
    """However often Redis is away."""
    service.redis_is_away = True
    for _ in range(3):
        assert isinstance(work(job()), NotDone)
    service.redis_is_away = False
    assert isinstance(work(job()), Done)
    assert (service.applied, len(service.published)) == (1, 1)


def test_no_more_than_a_few_unpublished_batches_are_kept(service: Service) -> None:
    """One that was pushed out is applied again, which gives the same outcomes."""
    service.redis_is_away = True
    for number in range(MAX_UNPUBLISHED + 1):
        work(job(str(number)))
    assert len(attempt._unpublished) == MAX_UNPUBLISHED
    service.redis_is_away = False
    assert isinstance(work(job("0")), Done)
    assert service.applied == MAX_UNPUBLISHED + 2


def test_what_is_in_question_is_dropped_unless_it_was_applied(service: Service) -> None:
    """It is looked up before anything is applied; what is dropped is told to nobody."""
    bad = Message("bad", (InvalidUpdate("why", "{}"),))
    messages = [Message(id_, MESSAGE.updates) for id_ in ("plain", "applied", "not")] + [bad]
    asked = replace(job("k", *messages), in_question=(1, 2, 3))
    service.looked_up = {"applied"}
    service.redis_is_away = True
    assert isinstance(work(asked), NotDone)
    service.redis_is_away = False
    done = work(asked)
    assert isinstance(done, Done)
    assert done.dropped == 0b1100
    assert len(done.summary.results()) == 2
    (((*told,), letters),) = service.published_with_letters
    assert [one.message_id for many in told for one in many] == ["plain", "applied"]
    assert letters == []


@pytest.mark.parametrize("in_another_process", [False, True])
def test_what_is_published_is_not_published_again(
    service: Service, monkeypatch: pytest.MonkeyPatch, in_another_process: bool
) -> None:
    """A try begins where the one before came to, whichever slot has it."""
    bad = Message("bad", (InvalidUpdate("why", "{}"), InvalidUpdate("why", "{}")))
    messages = [Message(id_, MESSAGE.updates) for id_ in "abc"]
    next_try = job("k", *messages, bad)
    service.redis_is_away = service.takes_one = True
    for _ in range(3):
        report = work(next_try)
        assert isinstance(report, NotDone)
        next_try = replace(next_try, published=report.published)
        if in_another_process:
            monkeypatch.setattr(attempt, "_unpublished", {})
    assert next_try.published == (2, 3)
    service.redis_is_away = False
    assert isinstance(work(next_try), Done)
    outcomes = [one.message_id for one in service.told if isinstance(one, Outcome)]
    assert outcomes == ["a", "b", "c", "bad", "bad"]
    letters = [one.index for one in service.told if isinstance(one, DeadLetter)]
    assert letters == [0, 1]


def test_a_report_fits_into_a_pipe_at_once(service: Service) -> None:
    """A larger one could be read in part only, and prefork's event loop begin anew meanwhile."""
    large = job("large", *[MESSAGE] * 1_000)
    for service.redis_is_away in (True, False):
        assert len(pickle.dumps(work(large))) < 4_096


def test_a_bug_is_reported_like_trouble(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread pool would lose the exception, and with it the slot."""
    monkeypatch.setattr(service, "apply", lambda _: 1 / 0)
    report = work(job())
    assert isinstance(report, NotDone)
    assert not report.expected
    assert "ZeroDivisionError" in report.error


def test_no_password_is_in_what_is_said_of_a_failure(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is hidden before the text is cut: half of one is one too."""

    def fail(_: Any) -> Any:
        raise RuntimeError("cannot reach postgresql://user:hush@host/db " + "again " * 1_000)

    monkeypatch.setattr(service, "apply", fail)
    failed = work(job())
    assert isinstance(failed, NotDone)
    assert "hush" not in failed.error
    assert "host/db" in failed.error
