"""How those who watch the page share its readings."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from cli.page.reading import Reading
from cli.page.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Servers:
    """What readings are made of; each is the number that it is."""

    def __init__(self) -> None:
        self.made, self.threads = 0, set[int]()

    def read(self) -> Reading:
        """Make a reading."""
        self.made += 1
        self.threads.add(threading.get_ident())
        return Reading(str(self.made), "")


def watch(
    interval_seconds: float, scenario: Callable[[Watch, Servers], Awaitable[Any]]
) -> tuple[Any, Servers]:
    """Run something with a watch, and return what it gives."""
    servers = Servers()

    async def run() -> Any:
        watch = Watch(servers.read, interval_seconds)
        try:
            return await scenario(watch, servers)
        finally:
            watch.close()

    return asyncio.run(run()), servers


async def see(watch: Watch, number: int) -> list[str]:
    """Follow for so many readings, then go."""
    seen: list[str] = []
    async with aclosing(watch.follow()) as readings:
        async for reading in readings:
            seen.append(reading.service)
            if len(seen) == number:
                break
    return seen


def test_all_who_watch_see_the_same_readings() -> None:
    """The servers are asked as often as for one, in one thread."""

    async def many(watch: Watch, _: Servers) -> Any:
        return await asyncio.gather(*(see(watch, 3) for _ in range(20)))

    seen, servers = watch(0.01, many)
    assert seen == [["1", "2", "3"]] * 20
    assert servers.made == 3
    assert len(servers.threads) == 1


def test_who_comes_later_sees_at_once_what_the_others_see() -> None:
    """If that is not old."""

    async def come_late(watch: Watch, _: Servers) -> Any:
        return await see(watch, 1), await see(watch, 1)

    assert watch(3_600, come_late)[0] == (["1"], ["1"])
    assert watch(0, come_late)[0] == (["1"], ["2"])


def test_nobody_is_asked_while_nobody_watches() -> None:
    """After the last has gone, until the next comes."""

    async def come_and_go(watch: Watch, servers: Servers) -> Any:
        await see(watch, 2)
        await asyncio.sleep(0.05)
        made = servers.made
        return made, await see(watch, 1)

    (made, seen), _ = watch(0, come_and_go)
    assert made == 2
    assert seen == ["3"]


def test_one_who_goes_does_not_take_a_reading_from_another() -> None:
    """Though both waited for it."""

    async def leave(watch: Watch, _: Servers) -> Any:
        staying = asyncio.create_task(see(watch, 2))
        leaving = asyncio.create_task(see(watch, 2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait({leaving})
        return await staying

    seen, _ = watch(0.01, leave)
    assert seen == ["1", "2"]


def test_it_ends_when_the_page_stops() -> None:
    """Also while a reading is long in coming."""

    async def stop(watch: Watch, _: Servers) -> Any:
        seen = []
        async for one in watch.follow():
            seen.append(one)
            # By then the next reading is waited for, which is an hour away.
            asyncio.get_running_loop().call_later(0.05, watch.stop)
        return seen

    seen, servers = watch(3_600, stop)
    assert seen == [Reading("1", "")]
    assert servers.made == 1
