"""Steps that a core wants repeated beside its others, for the face of asyncio: in a task."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from settle_client.steps import drive_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from settle_client.steps import Repeat


def begin(
    repeat: Repeat, perform: Callable[[Any], Awaitable[Any]]
) -> Callable[[], Awaitable[None]]:
    """Begin to repeat, and return what ends it."""
    is_over = False

    async def run() -> None:
        while not is_over:
            await asyncio.sleep(repeat.seconds)
            with suppress(Exception):
                await drive_async(repeat.make_steps(), perform)

    task = asyncio.create_task(run(), name="settle-repeat")

    async def end() -> None:
        nonlocal is_over
        # What is in the middle of a command may take the cancelling for the command's.
        is_over = True
        task.cancel()
        await asyncio.wait([task])

    return end
