"""Both doors lead to the same: each case goes through the queue and over HTTP, and is compared.

The queue is a plain Celery client with a real worker, HTTP a real gateway, and the
events are equal but of their own for each door. They differ on purpose in one
thing: of a message with an update that is not valid the others are applied, a request
with one is refused as a whole. Such a case is checked to be refused for the same reason.
"""

from __future__ import annotations

import itertools
import json
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.loading import NewEvent, load_events
from tests.gateway import Gateways

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway import Gateway
    from tests.service import Service

NUMBERS = itertools.count(1)
TIMES = ("createdAt", "completedAt", "failedAt")


@dataclass(frozen=True)
class Case:
    """Updates, and what there is when they come.

    Attributes:
        name: For people.
        updates: What is sent; `E1` stands for the event of this name, and so on.
        events: How each event stands before: pending, completed, failed.
        accounts: Whose an event is, where it is not of `acct_1`.
        again: Whether the message comes a second time, under its id.
        before: What the same door settles first, with another message.
    """

    name: str
    updates: list[Any]
    events: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    again: bool = False
    before: list[dict[str, str]] = field(default_factory=list)


def done(*ids: str, status: str = "completed", **more: Any) -> list[dict[str, Any]]:
    """Make updates."""
    return [{"id": id_, "status": status, **more} for id_ in ids]


PENDING = {"E1": "pending", "E2": "pending"}
CASES = [
    Case("completed", done("E1"), PENDING),
    Case("failed", done("E1", status="failed"), PENDING),
    Case("several", [*done("E2"), *done("E1", status="failed")], PENDING),
    Case("unknown", done("E9")),
    Case("already completed", done("E1"), {"E1": "completed"}),
    Case("already completed, to be failed", done("E1", status="failed"), {"E1": "completed"}),
    Case("already failed", done("E1"), {"E1": "failed"}),
    Case("settled by another message", done("E1", "E2"), PENDING, before=done("E2")),
    Case("twice in a message", done("E1", "E1"), PENDING),
    Case("two minds in a message", [*done("E1"), *done("E1", status="failed")], PENDING),
    Case("sent again", done("E1", "E2", "E9"), {**PENDING, "E2": "failed"}, again=True),
    Case("its account", done("E1", accountId="acct_1"), PENDING),
    Case("another account", done("E1", accountId="acct_2"), PENDING),
    Case("an event of another account", done("E1"), PENDING, {"E1": "acct_2"}),
    Case("no account", done("E1", accountId=None), PENDING),
    Case(
        "the right account second",
        [*done("E1", accountId="acct_2"), *done("E1", status="failed", accountId="acct_1")],
        PENDING,
    ),
    Case(
        "the whole event",
        done("E1", completedAt=None, createdAt="x", eventType=7, failedAt=[], payload={"x": [1]}),
        PENDING,
    ),
    Case("odd ids", done("E1/%2F?", "E1 \n\u2603\U0001f600"), {"E1/%2F?": "pending"}),
    Case("a long id", done("E1" + "x" * 252), {"E1" + "x" * 252: "pending"}),
    Case("as many as may be", done(*["E1"] * 999, "E2"), PENDING),
    # Where the doors differ: the message is applied in part, the request not at all.
    Case("no status", [*done("E1"), {"id": "E2"}], PENDING),
    Case("no id", [{"status": "completed"}, *done("E1")], PENDING),
    Case("an empty id", done("E1", "", "E2"), PENDING),
    Case("an id too long", done("E1" + "x" * 254), PENDING),
    Case("an id that is a number", [{"id": 7, "status": "failed"}, *done("E1")], PENDING),
    Case("NUL in an id", done("E1\0", "E1"), PENDING),
    Case("half a character", done("E1", "E1\ud800"), PENDING),
    Case("half a character where nobody looks", done("E1", payload="\ud800"), PENDING),
    Case("an unknown status", [*done("E1"), *done("E2", status="done")], PENDING),
    Case("a status in capitals", done("E1", status="Completed"), PENDING),
    Case("an account that is a number", done("E1", accountId=7), PENDING),
    Case("an empty account", done("E1", accountId=""), PENDING),
    Case("what is no update", ["E1", None, 7, [], *done("E1")], PENDING),
    Case("much that is wrong", [{"id": 1, "status": 2, "accountId": 3}] * 12, PENDING),
    # A message that cannot be understood at all is answered by one outcome without an id.
    Case("no update", []),
    Case("too many updates", done(*["E1"] * 1_001), PENDING),
]


class Doors(NamedTuple):
    """A service with both of its doors open."""

    service: Service
    gateway: Gateway


@pytest.fixture(scope="module")
def doors(lasting_service: Service) -> Iterator[Doors]:
    """Give a worker, of which results may be asked, and a gateway."""
    lasting_service.start_worker(CELERY_RESULT_BACKEND=lasting_service.users.worker)
    with closing(Gateways(lasting_service)) as gateways:
        yield Doors(lasting_service, gateways.start())


class Side:
    """A case at one door, with events of its own."""

    def __init__(self, doors: Doors, letter: str, number: int, case: Case) -> None:
        self.doors, self.letter = doors, letter
        # As long as `E`, for an id may be as long as it may be.
        self.name = f"{letter}{number}"
        self.case = case
        self.prefix = f"{chr(0x4E00 + number)}" if letter == "Q" else f"{chr(0x7000 + number)}"
        self.load()

    def own(self, id_: Any) -> Any:
        """Return the id of an event as this side has it."""
        is_ours = isinstance(id_, str) and id_.startswith("E")
        return self.prefix + id_[1:] if is_ours else id_

    def own_updates(self, updates: list[Any]) -> list[Any]:
        """Return updates as this side sends them."""
        return [
            {**update, "id": self.own(update["id"])}
            if isinstance(update, dict) and "id" in update
            else update
            for update in updates
        ]

    def load(self) -> None:
        """Load the events, and let somebody settle those that are to be settled."""
        url, events = self.doors.service.database_url, self.case.events
        load_events(
            url,
            [
                NewEvent(self.own(id_), self.case.accounts.get(id_, "acct_1"), payload={"a": 1})
                for id_ in events
            ],
        )
        with self.doors.service.database.engine.begin() as somebody:
            for id_, status in events.items():
                if status != "pending":
                    somebody.exec_driver_sql(
                        f"UPDATE events SET {status}_at = now(), settled_by = 'x' WHERE id = %s",
                        (self.own(id_),),
                    )

    def rows(self) -> dict[str, tuple[Any, ...]]:
        """Return the events as they stand: their status, and which of our messages settled them."""
        rows = self.doors.service.database.read_events([self.own(id_) for id_ in self.case.events])
        return {
            id_: (row.account_id, row.status, (row.settled_by or "").removeprefix(self.name))
            for id_ in self.case.events
            for row in [rows[self.own(id_)]]
        }

    def published(self, name: str) -> list[Any]:
        """Return what the stream holds of one of our messages."""
        entries = self.doors.service.redis.xrange("event-outcomes")
        outcomes = [json.loads(fields["outcome"]) for _, fields in entries]
        return [self.plain(one) for one in outcomes if one["messageId"] == self.name + name]

    def plain(self, outcome: dict[str, Any]) -> dict[str, Any]:
        """Return an outcome without what differs by nature: ids, times, payload."""
        assert outcome["messageId"].startswith(self.name)
        text = json.dumps({**outcome, "messageId": None}).replace(
            json.dumps(self.prefix)[1:-1], "E"
        )
        plain: dict[str, Any] = json.loads(text)
        plain.pop("payload", None)
        return {**plain, **{name: bool(plain[name]) for name in TIMES}}


class ByQueue(Side):
    """What the updates of a message are told."""

    def settle(self, updates: list[Any], name: str) -> list[Any]:
        """Send a message and return its outcomes, as published and as its result."""
        service, message_id = self.doors.service, self.name + name
        service.redis.delete(f"celery-task-meta-{message_id}")
        sent = service.send(args=[self.own_updates(updates)], task_id=message_id)
        outcomes = [self.plain(outcome) for outcome in sent.get(timeout=60)]
        assert self.published(name)[-len(outcomes) :] == outcomes
        return outcomes


class ByHttp(Side):
    """What the updates of a request are told."""

    def settle(self, updates: list[Any], name: str) -> list[Any] | str:
        """Send a request; return its outcomes, as published and as its answer, or the error."""
        sent = self.own_updates(updates)
        answer = self.doors.gateway.patch(sent, idempotency_key=self.name + name)
        if answer.status != 200:
            assert (answer.status, answer.json["statusCode"]) == (400, 400)
            assert self.published(name) == []
            message: str = answer.json["message"]
            return message.replace(self.prefix, "E").replace(repr(self.prefix)[1:-1], "E")
        assert all("payload" in outcome for outcome in answer.json)
        outcomes = [self.plain(outcome) for outcome in answer.json]
        assert self.published(name)[-len(outcomes) :] == outcomes
        return outcomes


def refusal(outcomes: list[Any]) -> list[str]:
    """Return what a request is refused for, given what the message was told."""
    problems = []
    for number, outcome in enumerate(outcomes):
        for problem in filter(None, _message(outcome).split("; ")):
            if problem.startswith("a message carries"):
                problems.append(problem.replace("a message", "a request"))
            elif problem.startswith("update: "):
                problems.append(f"[{number}]{problem.removeprefix('update')}")
            else:
                problems.append(f"[{number}].{problem}")
    return problems


def _message(outcome: dict[str, Any]) -> str:
    message: str = outcome.get("error", {}).get("message", "")
    return message


def compare(doors: Doors, case: Case) -> list[Any]:
    """Let a case go through both doors, compare, and return what the message was told."""
    number = next(NUMBERS)
    queue, http = ByQueue(doors, "Q", number, case), ByHttp(doors, "H", number, case)
    before = http.rows()
    assert queue.rows() == before
    if case.before:
        assert queue.settle(case.before, "-before") == http.settle(case.before, "-before")
        before = http.rows()
    outcomes, answered = queue.settle(case.updates, ""), http.settle(case.updates, "")
    if isinstance(answered, str):
        assert http.rows() == before
        problems = refusal(outcomes)
        assert problems
        expected = problems[:10] + [f"and {len(problems) - 10} more"] * (len(problems) > 10)
        assert answered.split("; ") == expected
        return outcomes
    assert not refusal(outcomes)
    assert answered == outcomes
    assert http.rows() == queue.rows()
    if case.again:
        assert queue.settle(case.updates, "") == http.settle(case.updates, "") == outcomes
        assert http.rows() == queue.rows()
    return outcomes


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_doors_lead_to_the_same(doors: Doors, case: Case) -> None:
    """The same outcomes, the same rows, and where a request is refused the same reason."""
    compare(doors, case)


IDS = ["E1", "E2", "E3", "E9", "", "E1\0"]
UPDATES = st.fixed_dictionaries(
    # What is not valid is as rare as to leave enough that is.
    {
        "id": st.sampled_from([*IDS[:4] * 4, *IDS[4:]]),
        "status": st.sampled_from([*["completed", "failed"] * 6, "done"]),
    },
    optional={"accountId": st.sampled_from(["acct_1", "acct_2", None])},
)
STATES = st.sampled_from(["pending", "pending", "completed", "failed"])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    updates=st.lists(UPDATES, min_size=1, max_size=8),
    events=st.fixed_dictionaries(dict.fromkeys(IDS[:3], STATES)),
    accounts=st.dictionaries(st.sampled_from(IDS[:3]), st.just("acct_2")),
    again=st.booleans(),
)
def test_both_doors_lead_to_the_same_whatever_is_sent(
    *,
    doors: Doors,
    updates: list[Any],
    events: dict[str, str],
    accounts: dict[str, str],
    again: bool,
) -> None:
    """Any updates of any events, valid or not, once or twice."""
    compare(doors, Case("any", updates, events, accounts, again=again))
