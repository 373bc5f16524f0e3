"""Where a process without Celery writes its log: to stderr, in the form that the settings name."""

from __future__ import annotations

import logging
import sys

from service.lines import HumanFormatter, JsonFormatter, is_json


def log_as(log_format: str) -> None:
    """Write the log to stderr.

    Args:
        log_format: See `Settings.log_format`.
    """
    is_terminal = sys.stderr.isatty()
    in_json = is_json(log_format, is_terminal=is_terminal)
    handler = logging.StreamHandler()
    form: logging.Formatter = JsonFormatter() if in_json else HumanFormatter(color=is_terminal)
    handler.setFormatter(form)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
