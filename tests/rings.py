"""How a test run is shared by processes, and what it says at its end.

Most tests wait for servers, they do not compute: a run of whole folders is shared by
several processes, each with servers and ports of its own. A file or a test that is
named runs in one process, and so does everything with `-n 0`.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.embedded import places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _pytest.terminal import TerminalReporter

PROCESSES_PER_CORE = 3
MOST_PROCESSES = 8
RINGS = ("unit", "integration", "acceptance", "faults")
MARKERS = ("rabbitmq", "pgbouncer", "prometheus", "node", "browser", "spin", "storms", "release")
CONFIGURED = {"DATABASE_URL", "CELERY_BROKER_URL"}


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Choose how many processes share the tests, unless somebody has."""
    option = config.option
    if getattr(option, "numprocesses", 0) is None and not hasattr(config, "workerinput"):
        alone = option.usepdb or option.keyword
        option.numprocesses = 0 if alone else _processes(config.args)
        option.dist = "worksteal"


def _processes(arguments: list[str]) -> int:
    # Nobody shares a configured Redis, and a few tests are over before others have started.
    folders = [Path(one) for one in arguments if Path(one).is_dir()]
    waits = len(folders) == len(arguments) and any("unit" not in one.parts for one in folders)
    if CONFIGURED & os.environ.keys() or not waits:
        return 0
    return min(PROCESSES_PER_CORE * (os.cpu_count() or 1), MOST_PROCESSES)


def pytest_configure(config: pytest.Config) -> None:
    """Let each process choose its ports from a part that is its own."""
    process = getattr(config, "workerinput", {"workerid": "gw0", "workercount": 1})
    number, count = int(process["workerid"].removeprefix("gw")), process["workercount"]
    places.PORTS = places.PORTS[number::count]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what uses such a server, or is a fault, carry its marker, and every test its ring."""
    for item in items:
        for server in {"rabbitmq", "prometheus"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(server)
        if _ring(item.nodeid) == "faults":
            item.add_marker("storms")
        markers = [one for one in MARKERS if item.get_closest_marker(one)]
        item.user_properties.append(("ring", _named(_ring(item.nodeid), markers)))


def _ring(node_id: str) -> str:
    """Return the folder below this one that a test is in."""
    return Path(node_id.partition("::")[0]).parts[1]


def _named(ring: str, markers: list[str]) -> str:
    return ", ".join(filter(None, [ring, " and ".join(markers)]))


def rows(reports: Iterable[object]) -> Iterator[str]:
    """Yield the table of CONTRIBUTING.md: how many tests, and seconds one after the other.

    Args:
        reports: Of a run; of a process that died a test has one without properties.
    """
    tests, seconds = Counter[str](), defaultdict[str, float](float)
    for report in reports:
        if isinstance(report, pytest.TestReport):
            ring = str(dict(report.user_properties).get("ring") or _ring(report.nodeid))
            tests[ring] += report.when == "setup"
            seconds[ring] += report.duration
    for ring in sorted(seconds, key=_place):
        yield f"| {ring} | {tests[ring]:,} | {seconds[ring]:,.0f} |"


def _place(name: str) -> tuple[bool, list[int]]:
    ring, _, markers = name.partition(", ")
    places = [MARKERS.index(one) for one in markers.split(" and ") if one]
    return bool(markers), [RINGS.index(ring) if ring in RINGS else len(RINGS), *places]


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print it, as it stands there."""
    lines = list(rows(one for some in terminalreporter.stats.values() for one in some))
    if len(lines) > 1:
        terminalreporter.section("rings")
        for line in ("| ring | tests | seconds |", "|---|--:|--:|", *lines):
            terminalreporter.write_line(line)
