"""Of whose accounts a key is, and an endpoint: as their commands are told it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cli.main import main

NEW_KEY = ("gateway", "new-key", "shop")
NEW_ENDPOINT = ("webhooks", "new-endpoint", "billing", "https://billing.example.com/")


@pytest.mark.parametrize("command", [NEW_KEY, NEW_ENDPOINT], ids=["a key", "an endpoint"])
@pytest.mark.parametrize(
    ("options", "fix"),
    [
        pytest.param((), "give --all-accounts", id="of none"),
        pytest.param(("--all-accounts", "--account", "a"), "give --all-accounts", id="of both"),
        pytest.param(("--account", "all"), "give --all-accounts", id="of all as an account"),
        pytest.param(("--account", "a", "--account", "all"), "give --all-accounts", id="and one"),
        pytest.param(("--account", ""), "is not empty", id="of an account without a name"),
    ],
)
def test_accounts_that_cannot_be_meant_are_refused(
    command: tuple[str, ...], options: tuple[str, ...], fix: str
) -> None:
    """With the option that is meant, and nothing that could be put into a file."""
    ended = CliRunner().invoke(main, (*command, *options))
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert fix in ended.stderr


@pytest.mark.parametrize("command", [NEW_KEY, NEW_ENDPOINT], ids=["a key", "an endpoint"])
@pytest.mark.parametrize(
    ("options", "line"),
    [
        pytest.param(("--all-accounts",), 'accounts = "all"', id="all"),
        pytest.param(("--account", "All"), 'accounts = ["All"]', id="one"),
    ],
)
def test_accounts_are_written_as_the_file_has_them(
    command: tuple[str, ...], options: tuple[str, ...], line: str
) -> None:
    """All of them are a word, others a list."""
    ended = CliRunner().invoke(main, (*command, *options))
    assert line in ended.stdout.splitlines()
