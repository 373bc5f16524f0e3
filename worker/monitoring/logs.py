"""How the worker's log is written: one line a record, for people or for machines.

A line is a static event with fields beside it, which call sites give as `extra`.
On a terminal lines are for people; anywhere else each is one JSON object. Celery's
own lines come in the same form: where the log goes, and from which level on, is
Celery's `--logfile` and `--loglevel`. What is worth a line is not decided here.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from billiard.util import get_logger as get_pool_logger
from celery import signals
from celery.apps import worker as celery_worker
from celery.platforms import isatty
from celery.utils.log import get_logger
from celery.worker import request as celery_request

from worker.monitoring.outage import outage
from worker.settings import hide_password, load_settings

logger = get_logger(__name__)

DISCARDED = "Discarding revoked task: %s[%s]"

# Some of what is written was sent by somebody, as long as it pleased them.
MAX_FIELD_CHARACTERS = 1_000
# What every record has; the rest are fields.
_NOT_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime"}
_COLORS = {"WARNING": "\033[33m", "ERROR": "\033[31m", "CRITICAL": "\033[1;31m"}
_PLAIN = "\033[0m"


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a call site gave as `extra`, long texts cut."""
    return {
        name: value[:MAX_FIELD_CHARACTERS] if isinstance(value, str) else value
        for name, value in vars(record).items()
        if name not in _NOT_FIELDS
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
            **{name: _safe(value) for name, value in fields_of(record).items()},
        }
        if record.exc_info:
            line["exception"] = _safe(self.formatException(record.exc_info))
        return _encode(line)


class HumanFormatter(logging.Formatter):
    """The event, and the fields behind it; tracebacks as they are."""

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
    return hide_password(value) if isinstance(value, str) and "//" in value else value


# Made once: a dumps with options makes an encoder for every line.
_encode = json.JSONEncoder(default=lambda value: _safe(str(value))).encode


def _shown(value: Any) -> str:
    """Write a field in one word, or quoted: nothing that was sent can begin a line."""
    if isinstance(value, dict):
        return ",".join(f"{name}:{_shown(each)}" for name, each in value.items())
    text = str(_safe(str(value)))
    return text if text.isprintable() and text and " " not in text else json.dumps(text)


# -- installed ---------------------------------------------------------------------


def install(app: Any, instance: Any, options: dict[str, Any]) -> None:
    """Write this worker's log in our form, from now on.

    Args:
        app: The Celery application.
        instance: Celery's worker, which has only just begun to be one.
        options: Its command line.
    """
    for signal in (signals.after_setup_logger, signals.after_setup_task_logger):
        signal.connect(_form)
    outage.install()
    logging.getLogger(celery_request.__name__).addFilter(_name_message)
    logfile, no_color = options.get("logfile"), options.get("no_color")
    # Celery does the same a moment later: too late for what it warns of before.
    app.log.setup(
        options.get("loglevel"),
        logfile,
        colorize=None if no_color is None else not no_color,
        hostname=instance.hostname,
    )
    logging.captureWarnings(capture=True)
    if _writes_json(logfile):
        instance.quiet = True
        celery_worker.safe_say = _say
        signals.celeryd_after_setup.connect(_log_banner)


def _writes_json(logfile: Any) -> bool:
    form = load_settings().log_format
    return form == "json" or (form == "auto" and not (logfile is None and isatty(sys.__stderr__)))


def _form(logger: Any, logfile: Any, colorize: Any, **_: Any) -> None:
    """Take over the handlers that Celery has made."""
    form = JsonFormatter() if _writes_json(logfile) else HumanFormatter(color=bool(colorize))
    for handler in (*logger.handlers, *get_pool_logger().handlers):
        handler.setFormatter(form)


def _name_message(record: logging.LogRecord) -> bool:
    """Put Celery's line about a message that was revoked, or has expired, into our words."""
    if str(record.msg).startswith(DISCARDED) and isinstance(record.args, tuple):
        record.msg, (_, message_id), record.args = "message dropped", record.args, ()
        vars(record).update(message_id=message_id, why="revoked or expired")
    return True


def _say(text: str, stream: Any = sys.__stderr__) -> None:
    """Say what Celery says in a signal handler, where no logger may be used."""
    record = logging.makeLogRecord({"name": "celery", "levelname": "WARNING", "msg": text})
    os.write(stream.fileno(), f"{JsonFormatter().format(record)}\n".encode())


def _log_banner(sender: str, instance: Any, **_: Any) -> None:
    """Say in one line what Celery's banner says."""
    app = instance.app
    logger.info(
        "worker starts",
        extra={
            "hostname": sender,
            "broker": app.connection().as_uri(),
            "results": app.backend.as_uri(),
            "pool": instance.pool_cls.__module__.rpartition(".")[2],
            "concurrency": instance.concurrency,
            "queues": sorted(app.amqp.queues),
            **{name: version(name) for name in ("settle", "celery")},
        },
    )
