"""Rows that PostgreSQL will not change: by a trigger, a policy, a constraint, at once or at commit.

What is refused is told so and hurts nobody else; what cannot be told from trouble of the
whole table is left in doubt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy
from psycopg.sql import SQL, Identifier

from db import Database, DatabaseError
from db.loading import NewEvent, load_events
from settle_client.update import StatusUpdate
from tasks.messages import Message
from tasks.settle import KEPT_PENDING, dead_letters, settle, settle_batch
from tests.conftest import with_name

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = [f"ev_{number:03}" for number in range(100)]
CLOSED = "ev_007"

GUARD = """
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.id = 'ev_007' THEN {} END IF; RETURN NEW; END $$;
"""
BEFORE = "CREATE TRIGGER guard BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION guard()"
AT_COMMIT = (
    "CREATE CONSTRAINT TRIGGER guard AFTER UPDATE ON events DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION guard()"
)
RAISE = "RAISE EXCEPTION 'the period is closed';"

REFUSALS = {
    "returns NULL": (GUARD.format("RETURN NULL;") + BEFORE, KEPT_PENDING),
    "undoes it": (
        GUARD.format("NEW.completed_at := NULL; NEW.failed_at := NULL;") + BEFORE,
        KEPT_PENDING,
    ),
    "raises": (GUARD.format(RAISE) + BEFORE, "P0001: the period is closed"),
    "raises at commit": (GUARD.format(RAISE) + AT_COMMIT, "P0001: the period is closed"),
    "reads a missing table": (
        GUARD.format("PERFORM FROM nowhere;") + BEFORE,
        '42P01: relation "nowhere" does not exist',
    ),
    "divides by zero": (GUARD.format("PERFORM 1 / 0;") + BEFORE, "22012: division by zero"),
    "a constraint": (
        "ALTER TABLE events ADD CONSTRAINT closed CHECK (id <> 'ev_007' OR settled_by IS NULL)",
        '23514: new row for relation "events" violates check constraint "closed"',
    ),
}


@pytest.fixture(autouse=True)
def _events(database_url: str) -> None:
    load_events(database_url, [NewEvent(id_, "acct_1") for id_ in IDS])


def execute(database_url: str, *statements: str) -> None:
    """Execute something as the owner."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        for statement in statements:
            owner.execute(statement.encode())


def message(*ids: str, status: Any = "completed", name: str = "") -> Message:
    """Make a message."""
    updates = tuple(StatusUpdate(id=id_, status=status) for id_ in ids)
    return Message(name or f"m-{ids[0]}", updates)


@pytest.fixture(params=REFUSALS)
def refusal(request: pytest.FixtureRequest, database_url: str) -> str:
    """Let the database refuse one event, and return what is said of it."""
    statements, said = REFUSALS[request.param]
    execute(database_url, statements)
    return said


@pytest.mark.parametrize("size", [1, 50], ids=["singles", "bulk"])
def test_a_refused_row_hurts_no_neighbour(database: Database, refusal: str, size: int) -> None:
    """It is told what the database said, and has a dead letter; all others are settled."""
    messages = [message(*IDS[start : start + size]) for start in range(0, len(IDS), size)]
    settled = settle(messages, database)
    outcomes = {outcome.id: outcome for many in settled.outcomes for outcome in many}
    refused = outcomes.pop(CLOSED)
    assert all(outcome.updated for outcome in outcomes.values())
    assert (refused.updated, refused.reason, refused.account_id) == (False, "refused", "acct_1")
    assert refused.to_dict()["error"] == {
        "error": "Conflict",
        "message": refusal,
        "statusCode": 409,
    }
    assert (settled.changed, settled.doubtful) == (99, {})
    (letter,) = dead_letters(messages, settled.outcomes, [{}] * len(messages))
    assert letter.reason == refusal
    rows = database.read_events(IDS)
    assert [id_ for id_, row in rows.items() if row.status is None] == [CLOSED]


def test_what_is_refused_at_the_second_try_hurts_no_neighbour(
    database: Database, database_url: str
) -> None:
    """The first has changed nothing of it and raised nothing, and so settled the others."""
    only_completed = "IF NEW.failed_at IS NOT NULL THEN RETURN NULL; END IF; " + RAISE
    execute(database_url, GUARD.format(only_completed), BEFORE)
    failed = Message("failed", (StatusUpdate(id=CLOSED, status="failed"),))
    settled = settle([failed, *(message(id_) for id_ in IDS)], database)
    reasons = [outcome.reason for (outcome,) in settled.outcomes]
    assert reasons.pop(0) == reasons.pop(IDS.index(CLOSED)) == "refused"
    assert set(reasons) == {None}
    assert (settled.changed, settled.doubtful) == (99, {})


@pytest.mark.usefixtures("refusal")
def test_a_repeated_batch_is_answered_the_same(database: Database) -> None:
    """Its neighbours as the first time, and the refused one as long as it is refused."""
    batch = [message(*IDS[:10], name="bulk"), message(*IDS[10:20])]
    first = settle_batch(batch, database)
    assert settle_batch(batch, database) == first


def test_what_is_refused_is_settled_later(database: Database, database_url: str) -> None:
    """Once the database takes it, as any other."""
    execute(database_url, GUARD.format(RAISE), BEFORE)
    assert settle_batch([message(CLOSED)], database)[0][0].reason == "refused"
    execute(database_url, "DROP TRIGGER guard ON events")
    assert settle_batch([message(CLOSED)], database)[0][0].updated


def test_many_updates_of_a_refused_event_are_refused_in_a_few_statements(
    database: Database, database_url: str
) -> None:
    """In one transaction, whose locks its neighbours' writers wait for."""
    execute(database_url, GUARD.format("RETURN NULL;"), BEFORE)
    statements: list[str] = []

    @sqlalchemy.event.listens_for(database.engine, "after_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    batch = [
        message(*IDS, *[CLOSED] * 400),
        *(message(CLOSED, name=f"m{n}", status=["failed", "completed"][n % 2]) for n in range(500)),
    ]
    answers = settle_batch(batch, database)
    reasons = {outcome.reason for many in answers for outcome in many if outcome.id == CLOSED}
    assert reasons == {"refused"}
    assert sum(outcome.updated for many in answers for outcome in many) == 99
    assert len(statements) <= 8


def test_a_status_that_is_refused_does_not_stand_in_the_way_of_the_other(
    database: Database, database_url: str
) -> None:
    """Also where both are asked for together: the first that the database takes wins."""
    veto = "IF NEW.failed_at IS NOT NULL THEN RETURN NULL; END IF;"
    execute(database_url, GUARD.format(veto), BEFORE)
    batch = [
        message(CLOSED, status="failed", name="a"),
        message(CLOSED, status="failed", name="b"),
        message(CLOSED, name="c"),
        message(CLOSED, name="d"),
    ]
    reasons = [many[0].reason for many in settle_batch(batch, database)]
    assert reasons == ["already_completed", "already_completed", None, "already_completed"]


@pytest.fixture
def guarded(database_url: str) -> Iterator[Database]:
    """Give the way in of a role that may see all rows and change but some."""
    name = database_url.rpartition("/")[2]
    role = Identifier(f"role_{name}")
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(SQL("CREATE ROLE {} LOGIN").format(role))
        owner.execute(
            SQL(
                "GRANT SELECT, UPDATE (completed_at, failed_at, settled_by) ON events TO {}"
            ).format(role)
        )
        owner.execute("ALTER TABLE events ENABLE ROW LEVEL SECURITY")
        owner.execute("CREATE POLICY see ON events FOR SELECT USING (true)")
        url = sqlalchemy.make_url(with_name(database_url, name)).set(username=f"role_{name}")
        database = Database(url.render_as_string(hide_password=False))
        yield database
        database.close()
        owner.execute(SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        pytest.param("USING (id <> 'ev_007')", KEPT_PENDING, id="not visible to an update"),
        pytest.param(
            "USING (true) WITH CHECK (id <> 'ev_007')",
            '42501: new row violates row-level security policy for table "events"',
            id="not to be written",
        ),
    ],
)
def test_a_row_under_a_policy_hurts_no_neighbour(
    guarded: Database, database_url: str, policy: str, said: str
) -> None:
    """Whoever may see more than they may change is told what they may not."""
    execute(database_url, f"CREATE POLICY change ON events FOR UPDATE {policy}")
    settled = settle([message(*IDS)], guarded)
    ((refused,),) = ([each for each in settled.outcomes[0] if not each.updated],)
    assert (refused.id, refused.reason) == (CLOSED, "refused")
    assert refused.to_dict()["error"]["message"] == said


CLOSE_ALL = (
    "CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$",
    "CREATE TRIGGER closed BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION closed()",
)


@pytest.mark.parametrize("does", [RAISE, "RETURN NULL;"], ids=["raises", "returns NULL"])
def test_what_fails_for_every_row_is_in_doubt(
    database: Database, database_url: str, does: str
) -> None:
    """It is the system, for all that is known; what needs no change is answered."""
    settle_batch([message(IDS[0], name="done")], database)
    execute(database_url, *(statement.format(does) for statement in CLOSE_ALL))
    batch = [message(*IDS[1:5]), message(IDS[0], name="done"), message("none"), message(IDS[6])]
    settled = settle(batch, database)
    assert settled.doubtful.keys() == {0, 3}
    assert [[outcome.reason for outcome in many] for many in settled.outcomes] == [
        *([], [None], ["not_found"], [])
    ]
    execute(database_url, "DROP TRIGGER closed ON events")
    answers = settle(batch, database).outcomes
    assert [outcome.updated for many in answers for outcome in many].count(False) == 1


def test_a_missing_privilege_costs_two_statements(guarded: Database, database_url: str) -> None:
    """It fails with nothing to do too, and is not looked for in each of the updates."""
    statements: list[str] = []

    @sqlalchemy.event.listens_for(guarded.engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    guarded.check()
    role = guarded.engine.url.username
    execute(database_url, f"REVOKE UPDATE (completed_at) ON events FROM {role}")
    statements.clear()
    with pytest.raises(DatabaseError, match="42501"):
        settle([message(*IDS)], guarded)
    assert len(statements) == 2
