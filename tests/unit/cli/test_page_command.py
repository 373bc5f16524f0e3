"""`settle page` where it cannot begin."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from click.testing import CliRunner

from cli.main import main
from service.settings import effective, load_settings

if TYPE_CHECKING:
    import pytest


def refused(**environment: str) -> str:
    """Run it, and return what it says."""
    ended = CliRunner().invoke(main, ["page"], env=environment)
    assert ended.exit_code == 1
    assert ended.output.count("\n") == 1
    return ended.output


def test_only_this_machine_is_served_without_a_key() -> None:
    """It says what to do."""
    said = refused(SETTLE_PAGE_HOST="0.0.0.0")  # noqa: S104 - that is what is refused
    assert said.startswith("Error: SETTLE_PAGE_KEY: is required, because SETTLE_PAGE_HOST")


def test_a_short_key_is_refused_and_not_quoted() -> None:
    """It could be guessed."""
    said = refused(SETTLE_PAGE_KEY="hush-hush")
    assert said.startswith("Error: SETTLE_PAGE_KEY: ")
    assert "16" in said
    assert "hush" not in said


def test_a_port_that_is_taken_is_named_by_its_setting() -> None:
    """Before anything else is begun."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused(SETTLE_PAGE_PORT=str(taken.getsockname()[1]))
    assert said.startswith("Error: SETTLE_PAGE_PORT: cannot listen on 127.0.0.1, port ")


def test_the_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither among the settings, nor as one of them."""
    monkeypatch.setenv("SETTLE_PAGE_KEY", "0123456789abcdef")
    settings = load_settings()
    assert effective(settings)["SETTLE_PAGE_KEY"] == "***"
    assert "0123456789abcdef" not in repr(settings)
