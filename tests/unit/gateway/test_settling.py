"""Requests that wait for a slot share the next batch, and each gets its own answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from db import DatabaseError, TransientDatabaseError
from gateway.events import settling, sharing
from gateway.events.sharing import SHARE, SLOTS
from gateway.requests.problems import BusyError
from tasks.errors import OutcomesNotPublishedError
from tests.stub_service import Stub, ask, message, occupy, run

if TYPE_CHECKING:
    from gateway.events.settling import Settler

OURS, THEIRS = frozenset({"ours"}), frozenset({"theirs"})


@pytest.fixture(autouse=True)
def never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be late, unless a test says so."""
    for name in ("LATE_SECONDS", "SHARED_LATE_SECONDS"):
        monkeypatch.setattr(sharing, name, 3_600)


def test_a_request_alone_leaves_at_once() -> None:
    """Settled, published, answered in its order with the payload, published without."""
    stub = Stub(["o1", "o2"])

    async def scenario(settler: Settler) -> None:
        outcomes = await settler.settle(message("m", "o2", "nobody", "o1"), None)
        assert [(one.id, one.reason) for one in outcomes] == [
            ("o2", None),
            ("nobody", "not_found"),
            ("o1", None),
        ]
        assert all("payload" in one.to_dict() for one in outcomes)
        assert stub.published == [one.without_payload() for one in outcomes]

    run(stub, scenario)


def test_a_setting_adds_the_payload_to_what_is_published() -> None:
    """Then it is the answer itself."""
    stub = Stub(["o1"], outcome_payload=True)

    async def scenario(settler: Settler) -> None:
        assert await settler.settle(message("m", "o1"), None) == stub.published

    run(stub, scenario)


def test_requests_that_wait_share_a_batch() -> None:
    """As many as fit, in the order they came, none split, each answered by itself."""
    stub = Stub([f"o{number}" for number in range(20)])

    async def scenario(settler: Settler) -> None:
        taken = await occupy(settler, stub)
        waiting = await ask(
            settler,
            (message("a", "o10", "o11"), None),
            (message("b", "o12"), None),
            (message("c", "o10", "o13"), None),
        )
        stub.is_open.set()
        await asyncio.gather(*taken)
        answers = await asyncio.gather(*waiting)
        shared = [batch for batch in stub.batches if len(batch) > 1]
        assert sorted(shared) == [["o10", "o11", "o12"], ["o10", "o13"]]
        assert [[one.message_id for one in outcomes] for outcomes in answers] == [
            ["a"] * 2,
            ["b"],
            ["c"] * 2,
        ]
        # The winner of what both have asked for depends on whose batch was first.
        assert (
            sorted(one.updated for outcomes in answers for one in outcomes) == [False] + [True] * 4
        )

    run(stub, scenario, max_updates=4)


def test_a_full_batch_does_not_wait() -> None:
    """Requests that fill one leave beside what is under way."""
    stub = Stub([f"o{number}" for number in range(9)])

    async def scenario(settler: Settler) -> None:
        taken = await occupy(settler, stub)
        waiting = await ask(settler, (message("a", "o1", "o2"), None))
        assert not stub.begun.acquire(blocking=False)
        waiting += await ask(settler, (message("b", "o3", "o4"), None))
        assert await asyncio.to_thread(stub.begun.acquire)
        stub.is_open.set()
        await asyncio.gather(*taken, *waiting)

    run(stub, scenario, max_updates=4)
    assert sorted(stub.batches) == [["o0"], ["o1", "o2", "o3", "o4"]]


def test_nobody_waits_for_a_batch_that_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever locks a row holds up its batch alone, until one slot is left: that is for others."""
    for name in ("LATE_SECONDS", "SHARED_LATE_SECONDS"):
        monkeypatch.setattr(sharing, name, 0)
    stub = Stub([f"o{number}" for number in range(SLOTS + 1)])

    async def scenario(settler: Settler) -> None:
        taken = await occupy(settler, stub)
        for slot in range(1, SLOTS - 1):
            taken += await ask(settler, (message(f"m{slot}", f"o{slot}"), None))
            assert await asyncio.to_thread(stub.begun.acquire)
        taken += await ask(settler, (message("last", f"o{SLOTS - 1}"), None))
        assert not stub.begun.acquire(blocking=False)
        taken += await ask(settler, (message("others", f"o{SLOTS}"), OURS))
        assert await asyncio.to_thread(stub.begun.acquire)
        stub.is_open.set()
        answers = await asyncio.gather(*taken)
        assert all(one.updated for outcomes in answers for one in outcomes)

    run(stub, scenario)


def test_a_request_may_be_larger_than_a_batch() -> None:
    """It is alone in one."""
    ids = [f"o{number}" for number in range(10)]
    stub = Stub(ids)

    async def scenario(settler: Settler) -> None:
        outcomes = await settler.settle(message("m", *ids), None)
        assert all(one.updated for one in outcomes)

    run(stub, scenario, max_updates=3)
    assert stub.batches == [ids]


def test_accounts_do_not_share_a_batch() -> None:
    """Nobody waits for the others' batch, and nobody sees what is not theirs."""
    stub = Stub(["o0", "o9", "t9"])

    async def scenario(settler: Settler) -> None:
        taken = await occupy(settler, stub)
        ours, theirs = await ask(
            settler,
            (message("ours", "o9", "t9"), OURS),
            (message("theirs", "o9", "t9"), THEIRS),
        )
        for _ in range(2):
            assert await asyncio.to_thread(stub.begun.acquire)
        stub.is_open.set()
        await asyncio.gather(*taken)
        assert [one.reason for one in await ours] == [None, "not_found"]
        assert [one.reason for one in await theirs] == ["not_found", None]

    run(stub, scenario)


def test_a_lost_connection_is_tried_once_more() -> None:
    """As after a restart of the database; trouble that lasts is raised."""
    stub = Stub(["o1"])
    lost = TransientDatabaseError("cut")
    lost.connection_was_lost = True
    stub.fails_on = {"o1": lost}

    async def scenario(settler: Settler) -> None:
        with pytest.raises(TransientDatabaseError):
            await settler.settle(message("m", "o1"), None)
        assert stub.batches == [["o1"], ["o1"]]
        stub.fails_once_on, stub.fails_on = stub.fails_on, {}
        assert (await settler.settle(message("m", "o1"), None))[0].updated

    run(stub, scenario)


def test_what_the_database_refuses_is_told_at_once_and_hurts_nobody_else() -> None:
    """Also if nothing else was settled: whoever asked waits for an answer."""
    stub = Stub(["o1", "o2", "o9"])
    stub.fails_on = {"o9": DatabaseError("P0001: the period is closed")}

    async def scenario(settler: Settler) -> None:
        taken = await occupy(settler, stub)
        waiting = await ask(settler, (message("a", "o1", "o9"), None), (message("b", "o2"), None))
        stub.is_open.set()
        await asyncio.gather(*taken)
        first, second = [await one for one in waiting]
        assert [outcome.reason for outcome in (*first, *second)] == [None, "refused", None]
        ((alone),) = await settler.settle(message("c", "o9"), None)
        assert (alone.reason, alone.to_dict()["error"]["statusCode"]) == ("refused", 409)

    run(stub, scenario)
    assert [letter.message_id for letter in stub.letters] == ["a", "c"]


def test_what_waits_when_it_is_closed_is_not_begun() -> None:
    """And nothing is raised where nobody can see it."""
    stub = Stub(["o0", "o1"])

    async def scenario(settler: Settler) -> None:
        taken = await occupy(settler, stub)
        (waiting,) = await ask(settler, (message("m", "o1"), None))
        stub.is_open.set()
        settler.close()
        assert (await taken[0])[0].updated
        waiting.cancel()

    run(stub, scenario)
    assert stub.batches == [["o0"]]


def test_who_fills_all_slots_leaves_them_while_others_ask() -> None:
    """Alone it has all; from when somebody else asks on, its share, and the rest waits its turn."""
    stub = Stub([f"o{number}" for number in range(20)] + ["t1", "t2"])

    async def scenario(settler: Settler) -> None:
        stub.is_open.clear()
        flood = await ask(settler, *((message(f"m{n}", f"o{n}"), OURS) for n in range(20)))
        for _ in range(SLOTS):
            assert await asyncio.to_thread(stub.begun.acquire)
        theirs = await ask(settler, (message("t", "t1"), THEIRS))
        stub.is_open.set()
        await asyncio.gather(*flood, *theirs)
        assert len(stub.batches) == 21
        assert stub.most_at_once == SLOTS
        stub.most_at_once, stub.work_seconds = 0, 0.01
        again = [(message(f"n{n}", f"o{n}"), OURS) for n in range(20)]
        await asyncio.gather(*await ask(settler, (message("u", "t2"), THEIRS), *again))
        assert stub.most_at_once <= SHARE + 1

    run(stub, scenario, max_updates=1)


def test_who_has_too_much_waiting_keeps_nobody_else_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """They alone are refused; others have a part of what may wait."""
    monkeypatch.setattr(settling, "MAX_WAITING_UPDATES", 4)
    stub = Stub([*(f"o{number}" for number in range(9)), "t1"])

    async def scenario(settler: Settler) -> None:
        stub.is_open.clear()
        flood = await ask(settler, *((message(f"m{n}", f"o{n}"), OURS) for n in range(5)))
        with pytest.raises(BusyError):
            await settler.settle(message("n", "o8"), OURS)
        theirs = await ask(settler, (message("t", "t1"), THEIRS))
        stub.is_open.set()
        await asyncio.gather(*flood)
        assert (await theirs[0])[0].updated

    run(stub, scenario)


def test_the_failure_of_some_is_not_that_of_others() -> None:
    """Whoever shares the statement gets the error, the other accounts' requests are settled."""
    stub = Stub(["o0", "o1", "o2", "o3", "o8", "o9", "t9"])
    stub.fails_on = {"o9": TransientDatabaseError("a lock")}

    async def scenario(settler: Settler) -> None:
        taken = await occupy(settler, stub)
        ours, theirs = await ask(
            settler, (message("ours", "o9"), OURS), (message("theirs", "t9"), THEIRS)
        )
        stub.is_open.set()
        await asyncio.gather(*taken)
        assert [one.updated for one in await theirs] == [True]
        with pytest.raises(TransientDatabaseError):
            await ours
        assert (await settler.settle(message("next", "o8"), OURS))[0].updated

    run(stub, scenario)
    assert {one.message_id for one in stub.published} >= {"theirs", "next"}
    assert stub.events.rows["o9"].status is None


def test_nothing_is_applied_while_something_is_unpublished() -> None:
    """What was committed is published first, when the channel is back; a retry is told the same."""
    stub = Stub(["o1", "o2"])

    async def scenario(settler: Settler) -> None:
        stub.channel_is_away = True
        with pytest.raises(OutcomesNotPublishedError):
            await settler.settle(message("m", "o1"), None)
        with pytest.raises(OutcomesNotPublishedError):
            await settler.settle(message("n", "o2"), None)
        assert [stub.events.rows[id_].status for id_ in ("o1", "o2")] == ["completed", None]
        stub.channel_is_away = False
        assert (await settler.settle(message("n", "o2"), None))[0].updated
        assert (await settler.settle(message("m", "o1"), None))[0].updated

    run(stub, scenario)
    assert [one.message_id for one in stub.published] == ["m", "n", "m"]


def test_a_bug_is_raised_to_those_who_met_it() -> None:
    """The slot is free again afterwards, as often as it happens."""
    stub = Stub(["o1", "o2"])
    stub.fails_on = {"o1": ZeroDivisionError()}

    async def scenario(settler: Settler) -> None:
        for _ in range(2 * SLOTS):
            with pytest.raises(ZeroDivisionError):
                await settler.settle(message("m", "o1"), None)
        assert (await settler.settle(message("n", "o2"), None))[0].updated

    run(stub, scenario)


def test_a_client_that_does_not_wait_is_settled_all_the_same() -> None:
    """Those who share its batch are answered."""
    stub = Stub(["o0", "o1", "o2", "o3", "o8", "o9"])

    async def scenario(settler: Settler) -> None:
        taken = await occupy(settler, stub)
        left, stays = await ask(settler, (message("l", "o8"), None), (message("s", "o9"), None))
        left.cancel()
        stub.is_open.set()
        await asyncio.gather(*taken)
        assert (await stays)[0].updated
        assert left.cancelled()

    run(stub, scenario)
    assert stub.events.rows["o8"].settled_by == "l"
    assert "l" in {one.message_id for one in stub.published}


def test_too_many_are_not_let_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are refused unapplied, and the next are taken when there is room again."""
    monkeypatch.setattr(settling, "MAX_WAITING_UPDATES", 2)
    stub = Stub(["o0", "o1", "o2", "o3", "o8", "o9"])

    async def scenario(settler: Settler) -> None:
        taken = await occupy(settler, stub)
        (waiting,) = await ask(settler, (message("w", "o8", "o8"), None))
        with pytest.raises(BusyError):
            await settler.settle(message("n", "o9"), None)
        stub.is_open.set()
        await asyncio.gather(*taken, waiting)
        assert stub.events.rows["o9"].status is None
        assert (await settler.settle(message("n", "o9"), None))[0].updated

    run(stub, scenario)
