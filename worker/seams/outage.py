"""What Celery says while the broker is away, in as few words as it needs.

Celery writes a line for each try to connect, and a traceback for each of its steps
that cannot tidy up over a dead connection. Here it is one line when an outage
begins, one a minute while it lasts, and one when messages come again; tracebacks
are for `--loglevel DEBUG`. How and when to connect again stays Celery's.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.utils.log import get_logger
from celery.worker.consumer import consumer as celery_consumer

from service.trouble import Trouble

logger = get_logger(__name__)

TALKATIVE = (
    *("celery.bootsteps", "celery.worker.loops"),
    *("celery.worker.consumer.connection", celery_consumer.__name__),
)
FREQUENT_RESTARTS = "Frequent restarts detected: %r"
STEP_FAILED = "Error on %s %s: %r"
LOOP_FAILED = tuple(
    f"Error cleaning up after {loop}: %r" for loop in ("event loop", "sync event loop")
)


class Outage(logging.Filter):
    """Of one process: it has one broker."""

    def __init__(self) -> None:
        super().__init__()
        self._trouble = Trouble()

    def install(self) -> None:
        """Listen to what Celery says."""
        for name in TALKATIVE:
            logging.getLogger(name).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide whether a line of Celery's is written, and put it into our words."""
        if _is_about_remains(record):
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
            return bool(logger.isEnabledFor(logging.DEBUG))
        error = _what_failed(record)
        if error is None:
            return not (self._trouble.kind and str(record.msg).startswith("Connected to"))
        now = time.monotonic()
        if not self._trouble.note("broker", now):
            return False
        record.msg, record.args, record.exc_info = "broker is away", (), None
        text = f"{type(error).__name__}: {error}".partition("\n")[0]
        vars(record).update(error=text, tries=self._trouble.tries)
        record.levelno = self._trouble.level
        record.levelname = logging.getLevelName(record.levelno)
        return logger.isEnabledFor(record.levelno)

    def over(self) -> None:
        """Say that messages can come again, if they could not."""
        lasted = self._trouble.over(time.monotonic())
        if lasted is not None:
            tries = self._trouble.tries
            fields = {"seconds": round(lasted, 1), "tries": tries}
            logger.log(self._trouble.level, "broker is back", extra=fields)


def _is_about_remains(record: logging.LogRecord) -> bool:
    """Return whether a line is about what cannot be tidied up over a dead connection."""
    is_of_step = record.msg == STEP_FAILED and _argument(record, 0) == "restarting"
    return is_of_step or record.msg in LOOP_FAILED


def _argument(record: logging.LogRecord, number: int) -> Any:
    arguments = record.args if isinstance(record.args, tuple) else ()
    return arguments[number] if number < len(arguments) else None


def _what_failed(record: logging.LogRecord) -> Any:
    """Return the exception, if a line says that the broker cannot be reached."""
    if record.msg == celery_consumer.CONNECTION_ERROR:
        return _argument(record, 1)
    if record.msg == FREQUENT_RESTARTS:
        return _argument(record, 0)
    if _argument(record, 0) == celery_consumer.CONNECTION_RETRY:
        return _argument(record, 1)
    return None


outage = Outage()
