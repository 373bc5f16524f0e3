"""How the worker's log is written: one line a record, for people or for machines.

On a terminal lines are for people; anywhere else each is one JSON object
(`service.lines`). Celery's own lines come in the same form: where the log
goes, and from which level on, is Celery's `--logfile` and `--loglevel`. What is worth
a line is not decided here.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from importlib.metadata import version
from typing import Any

from billiard.util import get_logger as get_pool_logger
from celery import signals
from celery.apps import worker as celery_worker
from celery.platforms import isatty
from celery.utils.log import get_logger, mlevel

from service.lines import HumanFormatter, JsonFormatter, is_json
from worker.seams.outage import outage

logger = get_logger(__name__)

# Of what a worker says while all is well: `worker.watching.reporting`.
STANDING = "worker.standing"


def install(app: Any, instance: Any, options: dict[str, Any], log_format: str) -> None:
    """Write this worker's log in our form, from now on.

    Args:
        app: The Celery application.
        instance: Celery's worker, which has only just begun to be one.
        options: Its command line.
        log_format: As the settings have it.
    """
    for signal in (signals.after_setup_logger, signals.after_setup_task_logger):
        signal.connect(partial(_form, log_format), weak=False)
    outage.install()
    logfile, no_color = options.get("logfile"), options.get("no_color")
    # Celery does the same a moment later: too late for what it warns of before.
    app.log.setup(
        options.get("loglevel"),
        logfile,
        colorize=None if no_color is None else not no_color,
        hostname=instance.hostname,
    )
    let_through(options.get("loglevel"))
    logging.captureWarnings(capture=True)
    if _writes_json(log_format, logfile):
        instance.quiet = True
        celery_worker.safe_say = _say
        signals.celeryd_after_setup.connect(_log_banner)


def let_through(loglevel: Any) -> None:
    """Let it be read that all is well where warnings are, which is Celery's default.

    Args:
        loglevel: As it was asked for; a name, a number, or None.
    """
    if mlevel(loglevel or logging.WARNING) <= logging.WARNING:
        logging.getLogger(STANDING).setLevel(logging.INFO)


def _writes_json(log_format: str, logfile: Any) -> bool:
    is_terminal = logfile is None and isatty(sys.__stderr__)
    return is_json(log_format, is_terminal=bool(is_terminal))


def _form(log_format: str, logger: Any, logfile: Any, colorize: Any, **_: Any) -> None:
    """Take over the handlers that Celery has made."""
    in_json = _writes_json(log_format, logfile)
    form = JsonFormatter() if in_json else HumanFormatter(color=bool(colorize))
    for handler in (*logger.handlers, *get_pool_logger().handlers):
        handler.setFormatter(form)


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
