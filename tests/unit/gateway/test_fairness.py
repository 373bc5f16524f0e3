"""Who is next, and who is refused, where several want what there is not enough of."""

from __future__ import annotations

import asyncio

import pytest

from gateway.requests.fairness import Turns, is_too_much

MOST = 100
OURS, THEIRS = frozenset({"ours"}), frozenset({"theirs"})


class Line:
    """Some who want a turn, each at it until it is told to end."""

    def __init__(self, at_once: int = 1) -> None:
        self.turns, self.order = Turns(at_once), list[str]()
        self._ends: dict[str, asyncio.Event] = {}

    async def want(self, name: str, accounts: frozenset[str] | None) -> asyncio.Task[None]:
        """Have somebody stand in line."""
        self._ends[name] = asyncio.Event()
        task = asyncio.create_task(self._have(name, accounts))
        await settled()
        return task

    async def end(self, name: str) -> None:
        """Have somebody end."""
        self._ends[name].set()
        await settled()

    async def _have(self, name: str, accounts: frozenset[str] | None) -> None:
        async with self.turns.of(accounts):
            self.order.append(name)
            await self._ends[name].wait()


async def settled() -> None:
    """Let everybody go as far as they come."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_party_waits_for_a_turn_of_another_and_not_for_all() -> None:
    """Within a party who came first is first; who may see all accounts is a party too."""

    async def scenario() -> list[str]:
        line = Line()
        for name in ("a1", "a2", "a3", "a4"):
            await line.want(name, OURS)
        await line.want("b1", THEIRS)
        await line.want("all", None)
        await line.want("b2", THEIRS)
        while len(line.order) < 7:
            await line.end(line.order[-1])
        return line.order

    assert asyncio.run(scenario()) == ["a1", "a2", "b1", "all", "a3", "b2", "a4"]


def test_as_many_have_a_turn_as_may() -> None:
    """And whoever comes later has a turn that was given back."""

    async def scenario() -> list[str]:
        line = Line(at_once=2)
        for name in ("a1", "a2", "a3"):
            await line.want(name, OURS)
        before = list(line.order)
        for name in ("a1", "a2", "a3"):
            await line.end(name)
        for name in ("b1", "b2", "b3"):
            await line.want(name, THEIRS)
        return [*before, "|", *line.order]

    assert asyncio.run(scenario()) == ["a1", "a2", "|", "a1", "a2", "a3", "b1", "b2"]


@pytest.mark.parametrize("had_it", [False, True], ids=["waiting", "at the same moment"])
def test_who_leaves_the_line_takes_no_turn_along(had_it: bool) -> None:
    """Nor does anybody of the same party who waits behind them."""

    async def scenario() -> list[str]:
        line = Line()
        await line.want("a1", OURS)
        leaving = await line.want("a2", OURS)
        await line.want("a3", OURS)
        if had_it:
            line._ends["a1"].set()
            await asyncio.sleep(0)
        leaving.cancel()
        await settled()
        await line.end("a1")
        await line.end("a3")
        await line.want("b1", THEIRS)
        return line.order

    assert asyncio.run(scenario()) == ["a1", "a3", "b1"]


def test_nothing_is_kept_of_whoever_was_there() -> None:
    """However many accounts there are."""

    async def scenario() -> Turns:
        line = Line()
        for number in range(100):
            await line.want(str(number), frozenset({str(number)}))
        for number in range(100):
            await line.end(str(number))
        return line.turns

    assert not asyncio.run(scenario())._waiting


@pytest.mark.parametrize(
    ("waiting", "others", "is_refused"),
    [
        pytest.param(MOST - 1, [], False, id="alone, with room"),
        pytest.param(MOST, [], True, id="alone, full"),
        pytest.param(0, [MOST], False, id="the other has all"),
        pytest.param(MOST // 2, [MOST // 2], True, id="half each"),
        pytest.param(MOST // 2, [0], False, id="half, with room"),
    ],
)
def test_only_who_has_more_than_a_part_waiting_is_refused(
    *, waiting: int, others: list[int], is_refused: bool
) -> None:
    """And only when as much waits as may."""
    assert is_too_much(waiting, [waiting, *others], MOST) is is_refused
