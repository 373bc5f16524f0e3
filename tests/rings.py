"""How a test run is shared by processes, and what it says at its end.

Most tests wait for servers, they do not compute: a run of whole folders is shared by
several processes, each with servers and ports of its own. A file or a test that is
named runs in one process, and so does everything with `-n 0`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.embedded import places

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

PROCESSES_PER_CORE = 3
MOST_PROCESSES = 8
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
    """Let whatever uses such a server carry its marker, and every test the name of its ring."""
    for item in items:
        for server in {"rabbitmq", "prometheus"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(server)
        markers = (one for one in MARKERS if item.get_closest_marker(one))
        item.user_properties.append(("ring", " ".join([_ring(item.path), *markers])))


def _ring(path: Path) -> str:
    """Return the folder below this one that a test is in."""
    return path.relative_to(Path(__file__).parent).parts[0]


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say how many tests each ring has, and how many seconds they took one after the other."""
    tests, seconds = defaultdict[str, int](int), defaultdict[str, float](float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                ring = str(dict(report.user_properties)["ring"])
                tests[ring] += report.when == "setup"
                seconds[ring] += report.duration
    if len(tests) > 1:
        terminalreporter.section("rings")
        for ring in sorted(tests):
            terminalreporter.write_line(f"{ring:34}{tests[ring]:6} tests{seconds[ring]:7.0f} s")
