"""What an update is told, for every row of the contract's outcome table."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import BadDataError, DatabaseError, EventRow, Rows, TransientDatabaseError
from settle_client.checking import check
from tasks.errors import OutcomesMissingError
from tasks.messages import InvalidUpdate, Message
from tasks.publishing import DeadLetter
from tasks.settle import KEPT_PENDING, dead_letters, outcome_of, settle, settle_batch
from tests.model import CREATED, SETTLED, ReferenceEvents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from db import Settlement
    from settle_client.outcome import Outcome
    from settle_client.update import StatusUpdate

PENDING = EventRow("ev_1", "acct_1", "order.created", CREATED, None, None, None)
COMPLETED = PENDING._replace(completed_at=SETTLED, settled_by="winner")
FAILED = PENDING._replace(failed_at=SETTLED, settled_by="winner")


class Refusing(ReferenceEvents):
    """A database that raises where certain events are to change, and remembers how often."""

    def __init__(self, accounts: Mapping[str, str], errors: Mapping[str, Exception]) -> None:
        super().__init__(accounts)
        self.errors, self.statements = errors, 0

    def settle_pending_events(
        self, settlements: Sequence[Settlement], *, with_payload: bool = False
    ) -> Rows:
        """Settle them all, or none."""
        self.statements += 1
        for each in settlements:
            if each.event_id in self.errors and each.applies_to(self.rows.get(each.event_id)):
                raise self.errors[each.event_id]
        return super().settle_pending_events(settlements, with_payload=with_payload)


def update(status: str = "completed", account: str | None = None, id_: str = "ev_1") -> Any:
    """Make a valid update."""
    return check({"id": id_, "status": status, "accountId": account})


@pytest.mark.parametrize(
    ("message_id", "asked", "row", "updated", "reason"),
    [
        pytest.param("winner", update(), COMPLETED, True, None, id="settled-by-this-message"),
        pytest.param("other", update(), COMPLETED, False, "already_completed", id="completed"),
        pytest.param("other", update(), FAILED, False, "already_failed", id="failed"),
        pytest.param(
            "winner", update("failed"), COMPLETED, False, "already_completed", id="contra"
        ),
        pytest.param("other", update(), None, False, "not_found", id="unknown"),
        pytest.param("winner", update(account="x"), COMPLETED, False, "not_found", id="account"),
        pytest.param("winner", update(account="acct_1"), COMPLETED, True, None, id="own-account"),
    ],
)
def test_an_outcome_says_what_the_row_says(
    message_id: str, asked: StatusUpdate, row: EventRow | None, updated: bool, reason: str | None
) -> None:
    """The reason is the row's state, and the message the row remembers is told `updated: true`."""
    outcome = outcome_of(message_id, asked, row)
    assert (outcome.updated, outcome.reason) == (updated, reason)
    assert (outcome.id, outcome.status, outcome.message_id) == ("ev_1", asked.status, message_id)


def test_an_outcome_of_a_row_carries_its_attributes() -> None:
    """They are the event's after the update."""
    outcome = outcome_of("winner", update(), COMPLETED)
    assert outcome.account_id == "acct_1"
    assert outcome.event_type == "order.created"
    assert (outcome.created_at, outcome.completed_at, outcome.failed_at) == (CREATED, SETTLED, None)


def test_an_outcome_of_another_accounts_event_tells_nothing_of_it() -> None:
    """Not found is all that is said, and every attribute is null."""
    fields = outcome_of("winner", update(account="x"), COMPLETED).to_dict()
    assert [fields[name] for name in ("accountId", "eventType", "createdAt", "completedAt")] == [
        None
    ] * 4


def test_the_payload_is_in_the_outcome_only_where_asked_for() -> None:
    """It is left out by default, and null where there is no event."""
    row = COMPLETED._replace(payload='{"a": 1}')
    assert "payload" not in outcome_of("m", update(), row).to_dict()
    assert outcome_of("m", update(), row, with_payload=True).to_dict()["payload"] == {"a": 1}
    assert outcome_of("m", update(), None, with_payload=True).to_dict()["payload"] is None


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, "1" * 5_000], ids=["deep", "long"])
def test_a_payload_that_python_cannot_hold_is_passed_on(text: str) -> None:
    """As it stands to consumers, as text to whoever waits for a Celery result."""
    outcome = outcome_of("m", update(), COMPLETED._replace(payload=text), with_payload=True)
    assert f'"payload":{text}}}'.encode() in outcome.to_json()
    assert outcome.to_dict()["payload"] == text


def test_the_outcome_of_an_invalid_update_says_why_beside_its_neighbours() -> None:
    """It costs them nothing and nothing is applied for it."""
    events = ReferenceEvents({"ev_1": "a"})
    bad = InvalidUpdate("status: must be …", '{"id": "ev_2"}', "ev_2", "done")
    message = Message("m", (bad, update()))
    ((first, second),) = settle_batch([message], events)
    assert first.reason == "invalid"
    assert first.to_dict()["error"] == {
        "error": "Bad Request",
        "message": "status: must be …",
        "statusCode": 400,
    }
    assert second.updated
    assert "error" not in second.to_dict()
    letters = dead_letters([message], [[first, second]], [{"queue": "q"}])
    assert letters == [DeadLetter("m", bad.error, bad.raw, {"queue": "q"}, 0)]


def test_every_outcome_says_where_its_update_stood() -> None:
    """In its message, valid or not; so does the dead letter of one that is not."""
    events = ReferenceEvents({"ev_1": "a"})
    bad = InvalidUpdate("status: must be …", "{}", "ev_1", "done")
    messages = [Message("m", (bad, update(), bad)), Message("n", (update(),))]
    outcomes = settle_batch(messages, events)
    assert [[one.index for one in many] for many in outcomes] == [[0, 1, 2], [0]]
    letters = dead_letters(messages, outcomes, [{}, {}])
    assert [letter.index for letter in letters] == [0, 2]


def test_the_first_update_of_an_event_wins() -> None:
    """Inside one message and across the messages of a batch."""
    events = ReferenceEvents({"ev_1": "a"})
    batch = [
        Message("m1", (update("failed"), update("completed"), update("failed"))),
        Message("m2", (update("completed"), update("failed"))),
    ]
    reasons = [[outcome.reason for outcome in many] for many in settle_batch(batch, events)]
    assert reasons == [[None, "already_failed", None], ["already_failed", "already_failed"]]


def test_bad_data_is_isolated_by_halving() -> None:
    """The update that the database refuses is told so; all the others are applied."""

    class Unable(Refusing):
        def read_events(self, event_ids: Sequence[str], **_: Any) -> dict[str, EventRow]:
            if event_ids == ["ev_13"]:
                raise BadDataError("22021: refused")
            return super().read_events(event_ids)

    ids = [f"ev_{number}" for number in range(50)]
    events = Unable(dict.fromkeys(ids, "a"), {"ev_13": BadDataError("22021: refused")})
    message = Message("m", tuple(update(id_=id_) for id_ in ids))
    (outcomes,) = settle_batch([message], events)
    assert [outcome.id for outcome in outcomes if not outcome.updated] == ["ev_13"]
    assert outcomes[13].reason == "invalid"
    (letter,) = dead_letters([message], [outcomes], [{"queue": "q"}])
    assert letter.reason == "22021: refused"
    assert json.loads(letter.raw)["id"] == "ev_13"


CLOSED = DatabaseError("P0001: the period is closed")


def test_what_the_database_refuses_is_isolated_by_halving() -> None:
    """Its neighbours are applied, in the same message too; it is told what the database said."""
    ids = [f"ev_{number}" for number in range(50)]
    events = Refusing(dict.fromkeys(ids, "a"), {"ev_13": CLOSED})
    messages = [
        Message("bulk", tuple(update(id_=id_) for id_ in ids[:20])),
        *(Message(f"m-{id_}", (update(id_=id_),)) for id_ in ids[20:]),
    ]
    settled = settle(messages, events)
    outcomes = [outcome for many in settled.outcomes for outcome in many]
    (refused,) = (outcome for outcome in outcomes if not outcome.updated)
    assert refused.to_dict() | {"createdAt": None} == {
        "id": "ev_13",
        "updated": False,
        "status": "completed",
        "reason": "refused",
        "messageId": "bulk",
        "index": 13,
        "accountId": "a",
        "eventType": "order.created",
        "createdAt": None,
        "completedAt": None,
        "failedAt": None,
        "error": {"error": "Conflict", "message": str(CLOSED), "statusCode": 409},
    }
    assert (settled.changed, settled.doubtful) == (49, {})
    (letter,) = dead_letters(messages, settled.outcomes, [{}] * len(messages))
    assert (letter.message_id, letter.reason) == ("bulk", str(CLOSED))
    assert json.loads(letter.raw) == {"id": "ev_13", "status": "completed"}


def test_what_is_refused_alone_is_in_doubt() -> None:
    """It may be the system; what is not refused is answered, though nothing was settled."""
    events = Refusing({"closed": "a", "done": "a"}, {"closed": CLOSED})
    events.rows["done"] = COMPLETED
    messages = [
        Message("m1", (update(id_="none"), update(id_="closed"))),
        Message("m2", (update(id_="none"),)),
        Message("m3", (update(id_="done"),)),
        Message("m4", (InvalidUpdate("id is required", "{}"),)),
    ]
    settled = settle(messages, events)
    said = {position: str(error) for position, error in settled.doubtful.items()}
    assert (settled.outcomes[0], said) == ([], {0: str(CLOSED)})
    reasons = [many[0].reason for many in settled.outcomes[1:]]
    assert reasons == ["not_found", "already_completed", "invalid"]


def test_what_is_refused_while_others_succeed_is_to_blame() -> None:
    """So it is answered, though it is alone."""
    events = Refusing({"closed": "a"}, {"closed": CLOSED})
    message = Message("m", (update(id_="closed"),))
    settled = settle([message], events, others_succeed=True)
    assert [outcome.reason for outcome in settled.outcomes[0]] == ["refused"]
    assert not settled.doubtful


def test_a_batch_of_which_too_much_is_refused_is_tried_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or its worker would be taken for stuck; one message is seen through, for it is no less."""
    monkeypatch.setattr("tasks.applying.MAX_HALVING_SECONDS", 0.0)
    ids = [f"ev_{number}" for number in range(20)]
    events = Refusing(dict.fromkeys(ids, "a"), dict.fromkeys(ids[:19], CLOSED))
    with pytest.raises(TransientDatabaseError) as caught:
        settle([Message(id_, (update(id_=id_),)) for id_ in ids], events)
    assert caught.value.took_too_long
    whole = Message("m", tuple(update(id_=id_) for id_ in ids))
    reasons = [outcome.reason for outcome in settle([whole], events).outcomes[0]]
    assert reasons == ["refused"] * 19 + [None]


def test_what_is_looked_up_is_told_after_a_commit() -> None:
    """Only a commit waits until what was read is where it outlives the server."""

    class Noting(Refusing):
        def settle_pending_events(self, *args: Any, **options: Any) -> Rows:
            rows = super().settle_pending_events(*args, **options)
            asked.append("commit")
            return rows

        def read_events(self, *args: Any, **options: Any) -> Any:
            asked.append("read")
            return super().read_events(*args, **options)

    events = Noting({"ev_1": "acct_1"}, {"ev_1": DatabaseError("no")})
    asked: list[str] = []
    (answer,) = settle_batch([Message("m", (update(),))], events)[0]
    assert answer.reason == "refused"
    assert asked[-2:] == ["read", "commit"]


def test_a_statement_that_fails_with_nothing_to_do_is_not_tried_for_each_update() -> None:
    """Such as one without a privilege: it is the system, at the cost of one more."""

    class Broken(ReferenceEvents):
        statements = 0

        def settle_pending_events(self, *_: Any, **__: Any) -> Rows:
            self.statements += 1
            raise DatabaseError("42501: permission denied")

    events = Broken({})
    with pytest.raises(DatabaseError, match="42501"):
        settle([Message(f"m{n}", (update(),)) for n in range(100)], events)
    assert events.statements == 2


def test_an_event_that_stays_pending_without_a_word_is_refused() -> None:
    """As by a trigger that returns NULL; of another account it is not found all the same."""
    refused = outcome_of("m", update(), PENDING)
    assert (refused.updated, refused.reason, refused.account_id) == (False, "refused", "acct_1")
    assert refused.to_dict()["error"]["message"] == KEPT_PENDING
    assert outcome_of("m", update(account="x"), PENDING).reason == "not_found"


def test_what_the_database_says_is_bounded() -> None:
    """Whoever owns a trigger may say anything, and it is said of each update."""
    refused = outcome_of("m", update(), PENDING, refusal="no " * 100_000)
    assert len(refused.to_json()) < 2_000


def test_an_event_that_another_settled_before_it_was_looked_up_is_told_so() -> None:
    """The answer follows from the row, not from the error."""

    class Late(Refusing):
        def read_events(self, event_ids: Sequence[str], **_: Any) -> dict[str, EventRow]:
            return {id_: COMPLETED._replace(id=id_) for id_ in event_ids}

    events = Late({"closed": "a"}, {"closed": CLOSED})
    ((outcome,),) = settle([Message("m", (update(id_="closed"),))], events).outcomes
    assert outcome.reason == "already_completed"


def test_other_trouble_of_the_database_is_the_whole_batchs() -> None:
    """It is raised, so that the same batch is tried again."""

    class Away(ReferenceEvents):
        def settle_pending_events(self, *_: Any, **__: Any) -> Rows:
            raise TransientDatabaseError

    with pytest.raises(TransientDatabaseError):
        settle_batch([Message("m", (update(),))], Away({}))


def test_a_missing_outcome_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """All in, all out is checked, not assumed."""
    monkeypatch.setattr("tasks.settle._answers", lambda *_, **__: [])
    with pytest.raises(OutcomesMissingError):
        settle_batch([Message("m", (update(),))], ReferenceEvents({}))


IDS = ["a", "b", "c", "d"]
ACCOUNTS = {"a": "x", "b": "x", "c": "y"}
UPDATES = st.builds(
    update,
    st.sampled_from(["completed", "failed"]),
    st.sampled_from([None, "x", "y"]),
    st.sampled_from(IDS),
)
# A message id may come twice: then it is the same message, delivered again.
MESSAGES = st.lists(st.lists(UPDATES, min_size=1, max_size=4), min_size=1, max_size=8)


@given(contents=MESSAGES, order=st.data())
def test_any_batching_amounts_to_one_by_one(
    contents: list[list[StatusUpdate]], order: st.DataObject
) -> None:
    """However a sequence of messages is cut into batches, the answers are those of no batching."""
    numbers = order.draw(st.lists(st.sampled_from(range(len(contents))), min_size=1, max_size=12))
    messages = [Message(f"m{number}", tuple(contents[number])) for number in numbers]
    cuts = order.draw(st.lists(st.integers(1, len(messages)), max_size=5))

    one_by_one, batched = ReferenceEvents(ACCOUNTS), ReferenceEvents(ACCOUNTS)
    expected = [settle_batch([message], one_by_one)[0] for message in messages]
    answers: list[list[Outcome]] = []
    edges = sorted({0, *cuts, len(messages)})
    for start, end in itertools.pairwise(edges):
        answers += settle_batch(messages[start:end], batched)

    assert answers == expected
    assert batched.rows == one_by_one.rows
    winners = defaultdict(set)
    for many in answers:
        for outcome in many:
            if outcome.updated:
                winners[outcome.id].add(outcome.message_id)
    assert all(len(message_ids) == 1 for message_ids in winners.values())


def test_what_is_not_there_after_a_refusal_is_waited_for_too() -> None:
    """That it was deleted may be what a failover undoes: a commit follows what was read."""

    class Deleting(ReferenceEvents):
        asked: list[int]

        def settle_pending_events(
            self, settlements: Sequence[Settlement], *, with_payload: bool = False
        ) -> Rows:
            """Refuse any, and have none when it is looked up."""
            self.asked.append(len(settlements))
            if settlements:
                self.rows.clear()
                raise BadDataError("refused")
            return Rows()

    events = Deleting({"ev_1": "acct_1"})
    events.asked = []
    (answers,) = settle_batch([Message("m", (update(),))], events)
    assert answers[0].reason == "not_found"
    # The update, whether nothing fails too, and, after it was read, nothing once more.
    assert events.asked == [1, 0, 0]
