"""How much of a processor an update costs, in each part: from the operating system's accounting.

Steadier than a rate, and it says where work is worth it. Only processes of this machine
are seen: a server that is elsewhere has no figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Between which parts of all outcomes it is taken: without start and end.
FROM, TO = 0.1, 0.95


def listens(url: str) -> list[int]:
    """Return the process on this machine that listens where a URL leads, if there is one."""
    port = urlsplit(url).port
    found = [
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:] == (port,)
    ]
    return [pid for pid in dict.fromkeys(found) if pid is not None][:1]


class Accounting:
    """What an update costs while so many outcomes come."""

    def __init__(
        self, updates: int, parts: Mapping[str, Sequence[int]], *, since: int | None = None
    ) -> None:
        """Take no account yet.

        Args:
            updates: How many outcomes there will be.
            parts: Processes by the part that they and their children are.
            since: From which outcome on, by default from a tenth of all.
        """
        self._from = int(updates * FROM) if since is None else since
        self._to = int(updates * TO)
        self._parts = {name: pids for name, pids in parts.items() if pids}
        self._first: tuple[int, dict[str, float]] | None = None
        self._last: tuple[int, dict[str, float]] | None = None

    def note(self, outcomes: int) -> None:
        """Look, if it is time to.

        Args:
            outcomes: How many have come.
        """
        if self._first is None and outcomes >= self._from:
            self._first = outcomes, self._seconds()
        elif self._last is None and outcomes >= self._to:
            self._last = outcomes, self._seconds()

    @property
    def microseconds(self) -> dict[str, float]:
        """Return what an update cost in each part, nothing if too few came one by one."""
        if self._first is None or self._last is None or self._last[0] == self._first[0]:
            return {}
        count = self._last[0] - self._first[0]
        first, last = self._first[1], self._last[1]
        return {part: (last[part] - first[part]) / count * 1e6 for part in self._parts}

    def _seconds(self) -> dict[str, float]:
        by_parent: dict[int, list[Any]] = {}
        for process in psutil.process_iter(["pid", "ppid", "cpu_times"]):
            by_parent.setdefault(process.info["ppid"], []).append(process.info)
        return {part: _used(pids, by_parent) for part, pids in self._parts.items()}


def _used(pids: Iterable[int], by_parent: Mapping[int, Sequence[Any]]) -> float:
    """Return the seconds of some processes and their children, those that are gone too."""
    wanted = set(pids)
    used = 0.0
    parents = [info for infos in by_parent.values() for info in infos if info["pid"] in wanted]
    while parents:
        info = parents.pop()
        # User, system, and both of children that are gone; a process that has just ended has none.
        used += sum((info["cpu_times"] or ())[:4])
        parents += by_parent.get(info["pid"], ())
    return used
