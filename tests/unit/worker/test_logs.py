"""Lines of the log: for people, or for machines."""

from __future__ import annotations

import inspect
import json
import logging
from typing import Any

import pytest
from celery.apps import worker as celery_worker

from service.lines import MAX_FIELD_CHARACTERS, HumanFormatter, JsonFormatter
from worker.seams import logs


def record_of(message: str, *args: Any, **extra: Any) -> logging.LogRecord:
    """Make a record as a logger does."""
    logger = logging.getLogger("worker.test")
    where: tuple[str, int] = ("test.py", 1)
    return logger.makeRecord(
        logger.name,
        logging.WARNING,
        *where,
        message,
        args,
        extra.pop("exc_info", None),
        extra=extra,
    )


def parsed(record: logging.LogRecord) -> Any:
    """Write a record as JSON and read it again."""
    line = JsonFormatter().format(record)
    assert "\n" not in line
    return json.loads(line)


def test_a_line_for_machines() -> None:
    """One object: time, level, logger, event, and the fields."""
    record = record_of("batch settled", batch=7, outcomes={"updated": 2}, why="slot")
    record.created = 1_700_000_000.25
    assert parsed(record) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "WARNING",
        "logger": "worker.test",
        "event": "batch settled",
        "batch": 7,
        "outcomes": {"updated": 2},
        "why": "slot",
    }


def test_a_line_for_people() -> None:
    """The same in one line of text."""
    record = record_of("batch settled", batch=7, outcomes={"updated": 2, "not_found": 1})
    record.created = 1_700_000_000.25
    assert HumanFormatter().format(record) == (
        "2023-11-14T22:13:20.250Z WARNING  batch settled  batch=7  outcomes=updated:2,not_found:1"
    )


def test_lines_of_others_have_their_arguments_in_the_event() -> None:
    """Celery's and kombu's."""
    assert parsed(record_of("Connected to %s\n", "somewhere"))["event"] == "Connected to somewhere"


def test_an_exception_is_one_text() -> None:
    """In the same line for machines, as Python writes it for people."""
    record = record_of("it failed", exc_info=(ValueError, ValueError("no"), None))
    assert parsed(record)["exception"].endswith("ValueError: no")
    assert HumanFormatter().format(record).endswith("\nValueError: no")


@pytest.mark.parametrize(
    "value",
    ["two\nlines", "\x1b[2J", "a=b c=d", ""],
    ids=["lines", "escape", "fields", "empty"],
)
def test_a_field_is_one_word(value: str) -> None:
    """What was sent cannot make up a line, nor steer a terminal."""
    line = HumanFormatter().format(record_of("message refused", message_id=value))
    assert line.endswith(f"message_id={json.dumps(value)}")


def test_what_json_does_not_know_is_written_as_text() -> None:
    """A field may be anything."""
    line = parsed(record_of("x", error=ValueError("no"), message_id="\ud800"))
    assert (line["error"], line["message_id"]) == ("no", "\ud800")


@pytest.mark.parametrize("form", [JsonFormatter(), HumanFormatter()], ids=["json", "human"])
def test_a_long_field_is_cut(form: logging.Formatter) -> None:
    """A hostile header does not fill the log."""
    assert len(form.format(record_of("message refused", error="x" * 10_000))) < 2_000


@pytest.mark.parametrize("form", [JsonFormatter(), HumanFormatter()], ids=["json", "human"])
def test_no_password_is_written(form: logging.Formatter) -> None:
    """Not in an event, a field or a traceback."""
    url = "redis://user:hu;sh@somewhere/0"
    error = ConnectionError(url)
    fields = {"url": url, "error": error, "servers": [url, {"standby": (url,)}]}
    record = record_of("gone: %s", url, **fields, exc_info=(type(error), error, None))
    line = form.format(record)
    assert line.count("somewhere") >= 6
    assert "sh@" not in line
    assert "hu;" not in line


@pytest.mark.parametrize("form", [JsonFormatter(), HumanFormatter()], ids=["json", "human"])
def test_no_password_is_written_of_a_url_that_is_cut(form: logging.Formatter) -> None:
    """Where the end of a password is cut off, what is left of it still is a secret."""
    error = "x" * (MAX_FIELD_CHARACTERS - 16) + " redis://:1;hush@somewhere/0"
    assert "hush" not in form.format(record_of("gone", error=error))
    assert "1;" not in form.format(record_of("gone", error=error))


@pytest.mark.parametrize(
    ("form", "logfile", "terminal", "json_expected"),
    [
        ("auto", None, True, False),
        ("auto", None, False, True),
        ("auto", "worker.log", True, True),
        ("human", None, False, False),
        ("json", None, True, True),
    ],
)
def test_the_form_fits_the_reader(
    monkeypatch: pytest.MonkeyPatch, form: str, logfile: Any, terminal: bool, json_expected: bool
) -> None:
    """A terminal has people before it, unless a setting says otherwise."""
    monkeypatch.setattr(logs, "isatty", lambda _: terminal)
    assert logs._writes_json(form, logfile) is json_expected


def test_a_worker_is_quiet_by_the_names_that_it_had() -> None:
    """Its banner, and what it says in a signal handler, are put into our form."""
    assert "if not self.quiet:\n            self.emit_banner()" in inspect.getsource(
        celery_worker.Worker.on_start
    )
    source = inspect.getsource(celery_worker._shutdown_handler)
    assert "safe_say(f'worker: {how} shutdown (MainProcess)', sys.__stdout__)" in source
