"""The page of the commands and of their exit statuses."""

from __future__ import annotations

import re

from click.testing import CliRunner

from cli import exit_status
from cli.command_reference import commands
from cli.main import COMMANDS, main
from tests.deployment import ROOT


def test_the_page_of_the_commands_is_current() -> None:
    """docs/commands.md is what `settle config --commands-reference` prints."""
    ended = CliRunner().invoke(main, ["config", "--commands-reference"])
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == ended.stdout


def test_the_page_has_every_command_and_every_status() -> None:
    """Also commands under commands."""
    page = commands(main)
    assert {f"settle {name}" for name in (*COMMANDS, "dead replay", "gateway new-key")} <= set(
        re.findall(r"^## (.*)$", page, re.MULTILINE)
    )
    numbers = {value for name, value in vars(exit_status).items() if isinstance(value, int)}
    assert {str(number) for number in numbers} == set(
        re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
    )


def test_commands_end_with_no_number_of_their_own() -> None:
    """Every one is in the table."""
    for file in (ROOT / "cli").rglob("*.py"):
        found = re.findall(r"(?:\.exit|SystemExit|Exit)\((\d\S*)\)", file.read_text("utf-8"))
        assert not found, file
