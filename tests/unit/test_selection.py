"""What the test command leaves out, and that CI does not."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.deployment import ROOT
from tests.rings import MARKERS, rows

if TYPE_CHECKING:
    from typing import Literal

TOOL = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]


def test_every_test_is_run_by_one_of_the_two_commands() -> None:
    """The second takes just what the first leaves out: what carries any of our markers."""
    settings = TOOL["pytest"]["ini_options"]
    options = settings["addopts"]
    left_out = options[options.index("-m") + 1]
    markers = [marker.partition(":")[0] for marker in settings["markers"]]
    assert markers == list(MARKERS)
    assert left_out == f"not ({' or '.join(markers)})"
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    commands = re.findall(r"^uv run (?:--group release )?pytest\b(.*)$", script, re.MULTILINE)
    assert [command.strip() for command in commands] == ["", f'-m "{" or ".join(markers)}"']


def report(
    path: str, when: Literal["setup", "call", "teardown"], seconds: float, ring: str = ""
) -> pytest.TestReport:
    """Make a report of a test."""
    properties = [("ring", ring)] if ring else []
    place, node_id = (path, None, path), f"tests/{path}::test_x"
    return pytest.TestReport(
        node_id, place, {}, "passed", None, when, duration=seconds, user_properties=properties
    )


def test_a_run_ends_with_the_table_of_contributing() -> None:
    """Row by row as it stands there, also when a process has died with a test."""
    reports = [
        report("faults/test_a.py", "setup", 1000, "faults, rabbitmq and storms"),
        report("faults/test_a.py", "call", 500, "faults, rabbitmq and storms"),
        report("faults/test_a.py", "setup", 1, "faults, pgbouncer"),
        report("unit/test_b.py", "setup", 1, "unit"),
        report("unit/test_b.py", "call", 2, "unit"),
        report("unit/cli/test_c.py", "call", 0),
        report("faults/test_d.py", "setup", 3, "faults"),
        "a warning",
    ]
    assert list(rows(reports)) == [
        "| unit | 1 | 3 |",
        "| faults | 1 | 3 |",
        "| faults, rabbitmq and storms | 1 | 1,500 |",
        "| faults, pgbouncer | 1 | 1 |",
    ]
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert re.search(
        r"^\| ring \| tests \| seconds \|\n\|---\|--:\|--:\|\n\| unit \|", page, re.MULTILINE
    )
