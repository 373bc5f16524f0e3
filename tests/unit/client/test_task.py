"""Steps that are repeated beside a core, in a task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from settle_client.steps import Repeat
from settle_client.task import begin

if TYPE_CHECKING:
    from collections.abc import Generator


def steps() -> Generator[str, Any, None]:
    """Ask for one thing."""
    yield "a step"


def test_repeating_ends_though_a_step_takes_the_cancelling_for_its_own() -> None:
    """A driver may, in the middle of a command."""

    async def run() -> list[str]:
        done: list[str] = []
        begun = asyncio.Event()

        async def perform(step: str) -> None:
            done.append(step)
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ConnectionError("cancelled") from None

        end = begin(Repeat(0.0, steps), perform)
        await begun.wait()
        async with asyncio.timeout(30):
            await end()
        return done

    assert asyncio.run(run()) == ["a step"]


def test_what_fails_is_done_again() -> None:
    """There is a next time."""

    async def run() -> int:
        count = 0
        enough = asyncio.Event()

        async def perform(_: str) -> None:
            nonlocal count
            count += 1
            if count == 3:
                enough.set()
            raise ConnectionError("lost")

        end = begin(Repeat(0.0, steps), perform)
        await enough.wait()
        await end()
        return count

    assert asyncio.run(run()) == 3
