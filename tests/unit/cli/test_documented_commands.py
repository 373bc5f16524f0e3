"""The commands in the pages against the real command lines."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from cli.main import COMMANDS
from tests.deployment import ROOT, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(?:sh|console|crontab)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(
    rf"(?:^|[ /])((?:settle (?:{'|'.join(COMMANDS)})|celery -A worker )\b[^#>&\n]*)", re.MULTILINE
)


def documented() -> Iterator[tuple[str, list[str]]]:
    """Give every command, with its page."""
    for page in PAGES:
        for block in BLOCK.findall(page.read_text("utf-8")):
            for command in COMMAND.findall(block):
                yield page.name, shlex.split(command)


@pytest.mark.parametrize(
    "command",
    [pytest.param(command, id=f"{page}: {shlex.join(command)}") for page, command in documented()],
)
def test_a_command_is_understood(command: list[str]) -> None:
    """By the command line itself; and `retention`, which checks that later, says what to remove."""
    parse(command)
    if command[1] == "retention":
        assert {"--outcomes", "--dead-letters"} & set(command)
