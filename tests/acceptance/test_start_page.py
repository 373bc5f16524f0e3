"""docs/index.md, followed word for word: what stands there is typed, and what it shows is seen."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.service import LoggedProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[2] / "docs" / "index.md").read_text("utf-8")
# What is typed, and the box with what it shows, if there is one before the next command.
STEP = re.compile(r"```sh\n(.*?)```(?:(?:(?!```).)*?```text\n(.*?)```)?", re.DOTALL)
LAST_WORDS = "Ctrl-C stops everything."


def steps() -> list[tuple[str, list[str]]]:
    """Return each command of the page, with the lines that it is to show."""
    return [(typed, shown.splitlines()) for typed, shown in STEP.findall(PAGE)]


def missing(shown: list[str], printed: str) -> list[str]:
    """Return the lines of a box that were not printed in their order; `…` stands for anything."""
    lines = iter([" ".join(line.split()) for line in printed.splitlines()])
    return [line for line in shown if not any(is_like(line, one) for one in lines)]


def is_like(line: str, printed: str) -> bool:
    """Return whether a printed line is one of a box, however it is spaced."""
    parts = [re.escape(part.strip()) for part in " ".join(line.split()).split("…")]
    return re.search(".*".join(parts), printed) is not None


@pytest.fixture
def first_terminal(tmp_path: Path) -> Iterator[LoggedProcess]:
    """Type the first command, which goes on."""
    command = f"exec {steps()[0][0].replace('uv run ', '')}"
    environment = {**os.environ, "PATH": path(), "PYTHONUNBUFFERED": "1"}
    terminal = LoggedProcess(tmp_path / "first", environment, "bash", "-c", command)
    yield terminal
    terminal.stop()


def path() -> str:
    """Return where commands are looked for; `uv run` is what one adds that has not done so."""
    return f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"


@pytest.mark.storms
def test_the_page_is_followed(first_terminal: LoggedProcess) -> None:
    """By somebody with two terminals and nothing else."""
    (_, shown), *others = steps()
    assert len(others) > 5
    first_terminal.wait_for_log(LAST_WORDS)
    printed = first_terminal.log.read_text()
    assert missing(shown, printed) == []
    exports = "\n".join(re.findall(r"^ *export .*$", printed, re.MULTILINE))
    for typed, seen in others:
        ended = subprocess.run(
            ["bash", "-c", f"{exports}\n{typed.replace('uv run ', '')}"],
            env={**os.environ, "PATH": path(), "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Traceback" not in ended.stdout
        assert missing(seen, ended.stdout) == [], f"{typed}: {ended.stdout}"
