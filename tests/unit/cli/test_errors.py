"""What a command says when something goes wrong that is no mistake of ours: one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import amqp.exceptions
import pytest
import redis
from click.testing import CliRunner
from kombu.transport import TRANSPORT_ALIASES

from cli import errors
from cli.main import main
from db import DatabaseError
from service.addresses import AMQP_SCHEMES, OTHER_BROKER_SCHEMES, REDIS_SCHEMES, SENTINEL_SCHEME

FULL = Path("/dev/full")


def settle(*arguments: str, stdout: IO[str] | int = subprocess.PIPE, **environment: str) -> Any:
    """Run the command and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_worker_says_in_one_line_that_its_broker_is_none() -> None:
    """It leaves at once: no pause would help."""
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "worker"],
        env={**os.environ, "CELERY_BROKER_URL": "http://foo", "C_FORCE_ROOT": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        "settle: CELERY_BROKER_URL: 'http' is no kind of broker: redis://, sentinel:// or amqp://\n"
    )


@pytest.mark.skipif(not FULL.exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize(
    "arguments",
    [("config",), ("config", "--reference"), ("--help",), ("doctor", "--help")],
    ids=" ".join,
)
def test_a_full_disk_is_one_line(arguments: tuple[str, ...]) -> None:
    """Also where the text is the command line's own."""
    with FULL.open("w") as full:
        ended = settle(*arguments, stdout=full)
    assert (ended.returncode, ended.stderr) == (
        1,
        "Error: cannot read or write: No space left on device\n",
    )


def test_a_reader_that_has_seen_enough_hears_no_complaint() -> None:
    """As with `head -1`, whatever was still to come."""
    reader, writer = os.pipe()
    os.close(reader)
    ended = settle("config", "--reference", stdout=writer)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_one_of_nothing(closed: str) -> None:
    """As some supervisors start their children."""
    command = f"exec {sys.executable} -m cli publish --file - {closed}"
    ended = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "CELERY_BROKER_URL": "redis://127.0.0.1:1/0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr


def test_what_a_terminal_cannot_show_is_printed_as_an_escape() -> None:
    """It is no reason to stop."""
    ended = settle("config", PYTHONIOENCODING="latin-1", SETTLE_OUTCOME_KEEP_FOR_GROUPS="\u2192")
    assert ended.returncode == 0
    assert "\\u2192" in ended.stdout


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/x/y"), "/x/y: Permission denied"),
        (BlockingIOError(11, "Try again"), "cannot read or write: Try again"),
        (OSError("no address"), "cannot read or write: no address"),
        (UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "?"), "an argument or a file is not UTF-8"),
        (redis.ConnectionError("away\nreally"), "the Redis of CELERY_BROKER_URL: away"),
        (
            redis.ConnectionError("at redis://u:p@h"),
            "the Redis of CELERY_BROKER_URL: at redis://u:***@h",
        ),
        (amqp.exceptions.AccessRefused("no"), "the broker of CELERY_BROKER_URL: no"),
        (DatabaseError("42P01"), "the database of DATABASE_URL: 42P01"),
        (TimeoutError(), "TimeoutError"),
        (KeyError("a mistake"), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_is_one_line_without_a_password(
    error: Exception, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is a mistake of ours is not made to look like somebody else's."""
    monkeypatch.delenv("SETTLE_OUTCOME_URL", raising=False)
    assert errors.explain(error) == said


def test_an_error_names_the_variable_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address alone does not say where it was set."""
    monkeypatch.setenv("SETTLE_OUTCOME_URL", "redis://outcomes")
    assert errors.explain(redis.TimeoutError("no")) == "the Redis of SETTLE_OUTCOME_URL: no"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("pubish", " Did you mean 'publish'?"), ("outcome", " Did you mean 'outcomes'?"), ("x", "")],
    ids=["a letter is missing", "the plural is", "like nothing"],
)
def test_a_misspelt_command_is_told_with_the_nearest_one(typed: str, hint: str) -> None:
    """As a misspelt option is, and a variable."""
    ended = CliRunner().invoke(main, [typed])
    assert ended.exit_code == 2
    assert ended.stderr.endswith(f"Error: No such command {typed!r}.{hint}\n")


@pytest.mark.parametrize("option", ["--group", "--consumer"])
def test_a_group_without_a_name_is_not_read_as_none(option: str) -> None:
    """A variable of a script is empty: each of its readers would hear every outcome."""
    ended = CliRunner().invoke(main, ["outcomes", option, ""])
    assert ended.exit_code == 2
    assert "never without a name" in ended.stderr


@pytest.mark.parametrize("url", ["http://foo", "localhost:6379", "foo", "reddis://h"])
@pytest.mark.parametrize("outcome_url", ["", "redis://outcomes"], ids=["no channel", "a channel"])
def test_a_url_of_no_broker_is_found_in_its_variable(
    url: str, outcome_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in another that would be needed if this were right, and not when something is sent."""
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    monkeypatch.setenv("SETTLE_OUTCOME_URL", outcome_url)
    ended = CliRunner().invoke(main, ["config"])
    assert ended.exit_code == 1
    assert ended.stderr.startswith("Error: CELERY_BROKER_URL: ")
    assert "redis://" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_every_kind_of_broker_that_kombu_knows_may_be_named() -> None:
    """Whether it serves is for whoever connects to find out."""
    ours = {*REDIS_SCHEMES, *AMQP_SCHEMES, SENTINEL_SCHEME, *OTHER_BROKER_SCHEMES}
    assert ours == {name.lower() for name in TRANSPORT_ALIASES}


def test_an_interrupted_command_says_so_by_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """130, as shells have it; an answer of no is a failure, 1."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.commands.config.load_settings", interrupt)
    ended = CliRunner().invoke(main, ["config"])
    assert (ended.exit_code, ended.stderr) == (130, "Interrupted.\n")
