"""Room for requests that are answered later."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.messages import enqueuing
from gateway.messages.enqueuing import Enqueuer
from gateway.requests.problems import BusyError
from service.settings import Settings

OURS, THEIRS = frozenset({"ours"}), frozenset({"theirs"})
NOTHING: Any = None


@pytest.fixture
def enqueuer(monkeypatch: pytest.MonkeyPatch) -> Enqueuer:
    """Give one with room for two, that holds up one for as long as it may."""
    monkeypatch.setattr(enqueuing, "MAX_SENDING", 2)
    monkeypatch.setattr(enqueuing, "MAX_HELD_UP", 1)
    monkeypatch.setattr(enqueuing, "HOLD_UP_SECONDS", 3_600.0)
    return Enqueuer(Settings(), NOTHING, NOTHING)


async def take(enqueuer: Enqueuer) -> None:
    """Find room, and give it back."""
    async with enqueuer.room(OURS):
        pass


@pytest.mark.parametrize("is_given_back", [False, True], ids=["full", "given back"])
def test_who_finds_no_room_is_held_up_before_that_is_said(
    enqueuer: Enqueuer, monkeypatch: pytest.MonkeyPatch, *, is_given_back: bool
) -> None:
    """And finds the room that was given back meanwhile."""
    monkeypatch.setattr(enqueuing, "HOLD_UP_SECONDS", 0.0)

    async def scenario() -> None:
        async with AsyncExitStack() as held:
            for _ in range(2):
                await held.enter_async_context(enqueuer.room(OURS))
            late = asyncio.create_task(take(enqueuer))
            await asyncio.sleep(0)
            assert not late.done()
            if is_given_back:
                await held.aclose()
                await late
            else:
                with pytest.raises(BusyError):
                    await late

    asyncio.run(scenario())


def test_no_more_are_held_up_than_there_is_memory_for(enqueuer: Enqueuer) -> None:
    """The others are refused at once, and who has no part yet waits for nothing."""

    async def scenario() -> None:
        async with enqueuer.room(OURS), enqueuer.room(OURS):
            held_up = asyncio.create_task(take(enqueuer))
            await asyncio.sleep(0)
            with pytest.raises(BusyError):
                await take(enqueuer)
            async with enqueuer.room(THEIRS):
                pass
            assert not held_up.done()
            held_up.cancel()
        await take(enqueuer)

    asyncio.run(scenario())


def test_nothing_is_kept_of_whoever_had_room(enqueuer: Enqueuer) -> None:
    """However many accounts there are."""

    async def scenario() -> None:
        for number in range(100):
            async with enqueuer.room(frozenset({str(number)})):
                pass

    asyncio.run(scenario())
    assert not enqueuer._waiting
