"""What the test command leaves out, and that CI does not."""

from __future__ import annotations

import re
import tomllib

from tests.deployment import ROOT
from tests.rings import MARKERS

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
    commands = re.findall(r"^uv run pytest\b(.*)$", script, re.MULTILINE)
    assert [command.strip() for command in commands] == ["", f'-m "{" or ".join(markers)}"']
