"""A line of the log: a static text with fields beside it, which call sites give as `extra`.

For people, or for machines as one JSON object. Where lines go is somebody else's.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from service.addresses import hide_password

# Some of what is written was sent by somebody, as long as it pleased them.
MAX_FIELD_CHARACTERS = 1_000
# What every record has; the rest are fields.
_NOT_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime"}
_COLORS = {"WARNING": "\033[33m", "ERROR": "\033[31m", "CRITICAL": "\033[1;31m"}
_PLAIN = "\033[0m"


def is_json(log_format: str, *, is_terminal: bool) -> bool:
    """Return whether lines are JSON, given the setting and whether a person reads along."""
    return log_format == "json" or (log_format == "auto" and not is_terminal)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a call site gave as `extra`, without passwords, and long texts cut."""
    fields = {name: _safe(value) for name, value in vars(record).items() if name not in _NOT_FIELDS}
    # Cut last: half a URL hides its password from whoever looks for one.
    return {
        name: value[:MAX_FIELD_CHARACTERS] if isinstance(value, str) else value
        for name, value in fields.items()
    }


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "event": _safe(record.getMessage().strip()),
            **fields_of(record),
        }
        if record.exc_info:
            line["exception"] = _safe(self.formatException(record.exc_info))
        return _encode(line)


class HumanFormatter(logging.Formatter):
    """The text, and the fields behind it; tracebacks as they are."""

    def __init__(self, *, color: bool = False) -> None:
        super().__init__()
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        level = f"{record.levelname:8}"
        if self._color and record.levelname in _COLORS:
            level = f"{_COLORS[record.levelname]}{level}{_PLAIN}"
        fields = "".join(f"  {name}={_shown(v)}" for name, v in fields_of(record).items())
        line = f"{_time(record)} {level} {_safe(record.getMessage().strip())}{fields}"
        if record.exc_info:
            line = f"{line}\n{_safe(self.formatException(record.exc_info))}"
        return line


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _safe(value: Any) -> Any:
    """Return a value without the passwords in it."""
    if isinstance(value, str):
        return hide_password(value) if "//" in value else value
    if isinstance(value, dict):
        return {name: _safe(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(each) for each in value]
    return value


# Made once: a dumps with options makes an encoder for every line.
_encode = json.JSONEncoder(default=lambda value: _safe(str(value))).encode


def _shown(value: Any) -> str:
    """Write a field in one word, or quoted: nothing that was sent can begin a line."""
    if isinstance(value, dict):
        return ",".join(f"{name}:{_shown(each)}" for name, each in value.items())
    text = str(_safe(str(value)))
    return text if text.isprintable() and text and " " not in text else json.dumps(text)
