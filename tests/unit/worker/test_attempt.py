"""One try of a batch in a pool slot."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from db import BadDataError, DatabaseError, TransientDatabaseError
from settle_client.outcome import Outcome
from settle_client.update import StatusUpdate
from tasks.errors import OutcomesNotPublishedError
from tasks.messages import InvalidUpdate, Message
from tasks.publishing import DeadLetter
from tasks.settle import Settled, settle_batch
from tests.model import ReferenceEvents
from worker.applying import attempt
from worker.applying.attempt import MAX_UNPUBLISHED, work
from worker.job import Done, Job, NotDone

MESSAGE = Message("m", (StatusUpdate(id="a", status="completed"),))


class Service:
    """Knows no event, and publishes only while Redis is there.

    It stumbles over messages where it is told to.
    """

    def __init__(self) -> None:
        self.redis_is_away = False
        self.applied = 0
        self.changed = 1
        self.trouble: Exception = ZeroDivisionError()
        self.events = ReferenceEvents({})
        self.published: list[Any] = []
        self.looked_up: set[str | None] = set()
        self.takes_one = False
        self.sent: list[Any] = []
        self.letters: list[DeadLetter] = []
        self.cannot_look_up: set[str | None] = set()
        self.cannot_apply: set[str | None] = set()
        self.cannot_publish: set[str | None] = set()

    def were_applied(self, messages: Any) -> list[bool]:
        """Look up."""
        if self.cannot_look_up & {message.id for message in messages}:
            raise self.trouble
        return [message.id in self.looked_up for message in messages]

    def apply(self, messages: Any, *, others_succeed: bool = False) -> Settled:
        """Apply."""
        self.applied += 1
        if self.cannot_apply & {message.id for message in messages}:
            raise ZeroDivisionError
        return Settled(settle_batch(messages, self.events), self.changed, {})

    def publish(self, outcomes: Any, letters: Any) -> None:
        """Publish."""
        told = [one for many in outcomes for one in many]
        if self.redis_is_away:
            self.sent += [*letters[:1], *told[:1]]
            done = {"letters": len(letters[:1]), "outcomes": len(told[:1])}
            raise OutcomesNotPublishedError("away " * 10_000, **(done if self.takes_one else {}))
        if self.cannot_publish & {one.message_id for one in told}:
            raise UnicodeError
        for one in told:
            one.to_json()
        self.sent += [*letters, *told]
        self.published.append(outcomes)
        self.letters += letters

    @property
    def told(self) -> dict[str | None, str | None]:
        """Return the reason that each message was told last."""
        every = [one for batch in self.published for many in batch for one in many]
        return {one.message_id: one.reason for one in every}


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


def test_what_was_committed_earlier_says_nothing_of_now(service: Service) -> None:
    """Whether events can be settled is known of the try that settled some."""
    done = work(job("other"))
    assert isinstance(done, Done)
    assert done.changed == 1
    service.redis_is_away = True
    work(job())
    service.redis_is_away = False
    done = work(job())
    assert isinstance(done, Done)
    assert done.changed == 0


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
    assert service.told.keys() == {"plain", "applied"}
    assert service.letters == []


def test_what_is_dropped_is_not_taken_for_what_is_in_doubt(service: Service) -> None:
    """Each of both is counted by its place in the whole batch."""
    asked = replace(job("k", *several(*"abcd")), in_question=(0, 3))
    service.cannot_apply, service.changed, service.looked_up = {"b", "d"}, 0, {"d"}
    done = work(asked)
    assert isinstance(done, Done)
    assert (done.dropped, done.doubtful) == (0b0001, 0b1010)
    assert service.told.keys() == {"c"}


def test_what_cannot_be_looked_up_hurts_no_neighbour(service: Service) -> None:
    """An id that the database cannot hold is of no event; of another it is not known."""
    asked = replace(job("k", *several(*"abc")), in_question=(0, 2))
    service.looked_up, service.cannot_look_up = {"c"}, {"a"}
    service.trouble = BadDataError()
    done = work(asked)
    assert isinstance(done, Done)
    assert done.dropped == 0b001
    assert service.told.keys() == {"b", "c"}
    service.trouble = ZeroDivisionError()
    done = work(replace(asked, key="another"))
    assert isinstance(done, Done)
    assert (done.dropped, service.told["a"]) == (0, "invalid")


@pytest.mark.parametrize("error", [TransientDatabaseError(), DatabaseError()])
def test_a_database_that_does_not_look_up_is_not_asked_for_more(
    service: Service, error: DatabaseError
) -> None:
    """Nothing is applied: what is not known yet may have to be answered."""
    service.cannot_look_up, service.trouble = {"m"}, error
    report = work(replace(job(), in_question=(0,)))
    assert isinstance(report, NotDone)
    assert report.kind == type(error).__name__
    assert (service.applied, service.published) == (0, [])


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
    assert next_try.published[:2] == (2, 3)
    service.redis_is_away = False
    assert isinstance(work(next_try), Done)
    outcomes = [one.message_id for one in service.sent if isinstance(one, Outcome)]
    assert outcomes == ["a", "b", "c", "bad", "bad"]
    letters = [one.index for one in service.sent if isinstance(one, DeadLetter)]
    assert letters == [0, 1]


def test_what_would_say_something_else_is_published_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event was inserted meanwhile, and is settled by a try that another process makes."""
    service.redis_is_away = service.takes_one = True
    next_try = job("k", *several("a", "b"))
    report = work(next_try)
    assert isinstance(report, NotDone)
    monkeypatch.setattr(attempt, "_unpublished", {})
    service.events = ReferenceEvents({"a": "acct"})
    service.redis_is_away = False
    assert isinstance(work(replace(next_try, published=report.published)), Done)
    assert [one.reason for one in service.sent] == ["not_found", None, "already_completed"]


def test_a_report_fits_into_a_pipe_at_once(service: Service) -> None:
    """A larger one could be read in part only, and prefork's event loop begin anew meanwhile."""
    large = job("large", *[MESSAGE] * 1_000)
    for service.redis_is_away in (True, False):
        assert len(pickle.dumps(work(large))) < 4_096
    service.changed, service.cannot_apply = 0, {str(number) for number in range(0, 1_000, 2)}
    done = work(job("doubtful", *several(*map(str, range(1_000)))))
    assert isinstance(done, Done)
    assert done.doubtful.bit_count() == 500
    assert len(pickle.dumps(done)) < 4_096


def test_a_bug_is_reported_like_trouble(service: Service) -> None:
    """A thread pool would lose the exception, and with it the slot."""
    service.cannot_apply = {"m"}
    report = work(job())
    assert isinstance(report, NotDone)
    assert not report.expected
    assert report.in_doubt
    assert "ZeroDivisionError" in report.error
    assert not service.published


def several(*ids: str) -> list[Message]:
    """Make messages of one update each."""
    return [Message(id_, MESSAGE.updates) for id_ in ids]


def test_a_message_that_cannot_be_applied_hurts_no_neighbour(service: Service) -> None:
    """It alone is answered `invalid`, with a dead letter; the others as if it were not there."""
    service.cannot_apply = {"f"}
    done = work(job("k", *several(*"abcdefgh")))
    assert isinstance(done, Done)
    assert done.summary.reasons == {"not_found": 7, "invalid": 1}
    assert service.told == dict.fromkeys("abcdegh", "not_found") | {"f": "invalid"}
    (letter,) = service.letters
    assert letter.message_id == "f"
    assert "ZeroDivisionError" in letter.reason


def test_what_fails_where_nothing_was_settled_is_in_doubt(service: Service) -> None:
    """Perhaps it is the system: what did not fail is answered, and the rest is left out."""
    service.cannot_apply, service.changed = {"b", "d"}, 0
    done = work(job("k", *several(*"abcd")))
    assert isinstance(done, Done)
    assert (done.doubtful, done.summary.reasons) == (0b1010, {"not_found": 2})
    assert done.doubt
    assert "ZeroDivisionError" in done.doubt.error
    assert service.told.keys() == {"a", "c"}


def test_what_fails_while_others_succeed_is_answered(service: Service) -> None:
    """Alone too."""
    service.cannot_apply, service.changed = {"m"}, 0
    done = work(replace(job(), others_succeed=True))
    assert isinstance(done, Done)
    assert service.told == {"m": "invalid"}


def test_outcomes_that_cannot_be_written_hurt_no_neighbour(service: Service) -> None:
    """Their message is told as much as can be written, and no other answer than it was given."""
    odd = "m\udfff"
    done = work(job("k", *several("a", odd, "b", "c")))
    assert isinstance(done, Done)
    assert (done.doubtful, done.summary.reasons) == (0, {"not_found": 4})
    assert service.told == dict.fromkeys(["a", "m?", "b", "c"], "not_found")
    (letter,) = service.letters
    assert (letter.message_id, letter.reason.partition(":")[0]) == (
        "m?",
        "its outcome cannot be written",
    )
    assert service.applied == 1


def test_what_cannot_be_published_at_all_hurts_no_neighbour(service: Service) -> None:
    """It is left out, and the others are done with."""
    service.cannot_publish = {"b"}
    done = work(job("k", *several("a", "b", "c")))
    assert isinstance(done, Done)
    assert (done.doubtful, done.summary.reasons) == (0b010, {"not_found": 2})
    assert service.told.keys() == {"a", "c"}
    assert isinstance(work(job("k", *several("a", "c"))), Done)


def test_no_password_is_in_what_is_said_of_a_failure(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is hidden before the text is cut: half of one is one too."""

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("cannot reach postgresql://user:hush@host/db " + "again " * 1_000)

    monkeypatch.setattr(service, "apply", fail)
    failed = work(job())
    assert isinstance(failed, NotDone)
    assert "hush" not in failed.error
    assert "host/db" in failed.error
