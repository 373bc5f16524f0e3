"""Updates that the database refuses, or does not come to an end with, on both brokers."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.service import Service, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GUARD = """
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.id LIKE '{}' THEN {} END IF; RETURN NEW; END $$;
CREATE TRIGGER guard BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION guard()
"""
RAISE = "RAISE EXCEPTION 'the period is closed';"
DEAD = "event-status-updates.dead"


@pytest.fixture(
    params=["redis", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)],
)
def service(
    request: pytest.FixtureRequest, database_url: str, redis_url: str, tmp_path: Path
) -> Iterator[Service]:
    """Give a service on either broker without a worker yet, and an empty queue."""
    rabbitmq = request.getfixturevalue("rabbitmq") if request.param == "rabbitmq" else None
    with closing(Service(database_url, redis_url, tmp_path, rabbitmq=rabbitmq)) as service:
        yield service
    if rabbitmq is not None:
        rabbitmq.control("purge_queue", "event-status-updates")


def guard(service: Service, ids: str, does: str) -> None:
    """Let the database do something where some events are to change."""
    with psycopg.connect(service.database_url, autocommit=True) as owner:
        owner.execute(GUARD.format(ids, does).encode())


def send(service: Service, *ids: str) -> str:
    """Send one message that completes some events, and return its id."""
    args: Any = [[{"id": id_, "status": "completed"} for id_ in ids]]
    return str(service.send(args=args, ignore_result=True).id)


def letters(service: Service) -> list[tuple[str, str]]:
    """Return of which updates there are dead letters, and why."""
    entries = service.channel.xrange(DEAD)
    return sorted((json.loads(fields["raw"])["id"], fields["reason"]) for _, fields in entries)


@pytest.mark.parametrize(
    ("does", "said"),
    [
        pytest.param(RAISE, "P0001: the period is closed", id="raises"),
        pytest.param("RETURN NULL;", "the database keeps the event pending", id="returns NULL"),
    ],
)
def test_a_refused_update_hurts_nobody_else(service: Service, does: str, said: str) -> None:
    """It is answered with what the database said; whatever was in its batch is settled."""
    ids = [f"ev_{number}" for number in range(100)]
    service.load(*ids)
    guard(service, "ev_7", does)
    sent = {send(service, id_): [id_] for id_ in ids[:50]}
    sent[send(service, *ids[50:], "ev_7")] = [*ids[50:], "ev_7"]
    worker = service.start_worker()
    outcomes = [one for many in service.wait(sent).values() for one in many]
    refused = [outcome for outcome in outcomes if not outcome.updated]
    assert [(outcome.id, outcome.reason) for outcome in refused] == [("ev_7", "refused")] * 2
    for outcome in refused:
        assert outcome.to_dict()["error"]["statusCode"] == 409
        assert outcome.to_dict()["error"]["message"].startswith(said)
    assert [id_ for id_, reason in letters(service) if reason.startswith(said)] == ["ev_7"] * 2
    service.wait_until_empty()
    assert worker.stop() == 0


def test_refused_updates_that_come_alone_do_not_stop_a_worker(service: Service) -> None:
    """One for each slot, and one more; they are answered when others succeed."""
    closed = [f"closed_{number}" for number in range(4)]
    ids = [f"ev_{number}" for number in range(20)]
    service.load(*ids, *closed)
    guard(service, "closed%", RAISE)
    worker = service.start_worker("--concurrency", "3")
    refused = {}
    for id_ in closed:
        refused[send(service, id_)] = [id_]
        worker.wait_for_log("batches are held")
    for id_ in ids:
        ((outcome,),) = service.wait({send(service, id_): [id_]}).values()
        assert outcome.updated
    answers = [one for many in service.wait(refused).values() for one in many]
    assert [outcome.reason for outcome in answers] == ["refused"] * 4
    assert letters(service) == [(id_, "P0001: the period is closed") for id_ in closed]
    service.wait_until_empty()
    assert worker.stop() == 0


@pytest.mark.parametrize("does", [RAISE, "RETURN NULL;"], ids=["raises", "returns NULL"])
def test_others_have_their_turn_behind_more_than_there_is_room_for(
    service: Service, does: str
) -> None:
    """Refused updates that nothing else stands between are left to the broker for a while."""
    closed = [f"closed_{number}" for number in range(300)]
    service.load(*closed, "ev_1")
    guard(service, "closed%", does)
    tens = [closed[start : start + 10] for start in range(0, len(closed), 10)]
    refused = {send(service, *ten): ten for ten in tens}
    good = send(service, "ev_1")
    worker = service.start_worker(
        *("--concurrency", "1"),
        SETTLE_BATCH_MAX_UPDATES="50",
        SETTLE_MESSAGE_MAX_UPDATES="10",
        SETTLE_RETRY_MAX_WAIT_SECONDS="1",
    )
    ((outcome,),) = service.wait({good: ["ev_1"]}).values()
    assert outcome.updated

    def all_are_told() -> bool:
        # What has come back is answered when another is settled.
        later = f"later_{service.channel.xlen('event-outcomes')}"
        service.load(later)
        service.wait({send(service, later): [later]})
        return len(letters(service)) == len(closed)

    eventually(all_are_told)
    told = {outcome.reason for many in service.wait(refused).values() for outcome in many}
    assert told == {"refused"}
    service.wait_until_empty()
    assert worker.stop() == 0


@pytest.mark.parametrize("does", [RAISE, "RETURN NULL;"], ids=["raises", "returns NULL"])
def test_what_fails_for_everybody_is_held_until_it_is_mended(service: Service, does: str) -> None:
    """Nobody is told `refused` for what is wrong with the table; a stop gives all of it back."""
    ids = [f"ev_{number}" for number in range(50)]
    service.load(*ids)
    guard(service, "%", does)
    first = service.start_worker()
    sent = {send(service, id_): [id_] for id_ in ids}
    first.wait_for_log("batches are held")
    assert first.stop() == 0
    second = service.start_worker()
    second.wait_for_log("batches are held")
    assert (service.channel.xlen("event-outcomes"), letters(service)) == (0, [])
    with psycopg.connect(service.database_url, autocommit=True) as owner:
        owner.execute("DROP TRIGGER guard ON events")
    outcomes = [one for many in service.wait(sent).values() for one in many]
    assert all(outcome.updated for outcome in outcomes)
    assert letters(service) == []
    eventually(lambda: "batches are settled again" in second.log.read_text())
    service.wait_until_empty()


@pytest.mark.parametrize("concurrency", ["1", "3"])
def test_a_locked_row_keeps_nobody_else_waiting(service: Service, concurrency: str) -> None:
    """Only the updates of that event wait, for as long as it takes, and are settled then."""
    ids = [f"ev_{number}" for number in range(100)]
    service.load(*ids, "late")
    with psycopg.connect(service.database_url) as other:
        other.execute("SELECT FROM events WHERE id = 'ev_7' FOR UPDATE")
        sent = {id_: send(service, id_) for id_ in ids}
        again = send(service, "ev_7")
        worker = service.start_worker(
            "--concurrency", concurrency, SETTLE_LOCK_TIMEOUT_SECONDS="0.2"
        )
        locked = {sent.pop("ev_7"): ["ev_7"], again: ["ev_7"]}
        outcomes = service.wait({message: [id_] for id_, message in sent.items()})
        assert all(outcome.updated for many in outcomes.values() for outcome in many)
        ((late,),) = service.wait({send(service, "late"): ["late"]}).values()
        assert late.updated
        assert service.channel.xlen("event-outcomes") == 100
    answers = [outcome for many in service.wait(locked).values() for outcome in many]
    assert sorted(str(outcome.reason) for outcome in answers) == ["None", "already_completed"]
    service.wait_until_empty()
    assert worker.stop() == 0


def test_a_trigger_that_takes_too_long_keeps_nobody_else_waiting(service: Service) -> None:
    """It is held, and not refused: it may be as quick as ever one day. A stop gives it back."""
    ids = [f"ev_{number}" for number in range(40)]
    service.load(*ids)
    guard(service, "ev_7", "PERFORM pg_sleep(20);")
    sent = {id_: send(service, id_) for id_ in ids}
    first = service.start_worker(SETTLE_STATEMENT_TIMEOUT_SECONDS="1")
    slow = sent.pop("ev_7")
    outcomes = service.wait({message: [id_] for id_, message in sent.items()})
    assert all(outcome.updated for many in outcomes.values() for outcome in many)
    assert first.stop() == 0
    with psycopg.connect(service.database_url, autocommit=True) as owner:
        owner.execute("DROP TRIGGER guard ON events")
    service.start_worker()
    ((outcome,),) = service.wait({slow: ["ev_7"]}).values()
    assert outcome.updated
    assert letters(service) == []
    service.wait_until_empty()
