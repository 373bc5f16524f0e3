"""What goes wrong for a reason that a user can act on, in one line.

The one place that decides it, for every command: servers that are away, settings and
files that cannot be used, output that nobody takes. Anything else is a mistake of
ours, and keeps its traceback.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path

import click

BROKER_VARIABLE, DATABASE_VARIABLE = "CELERY_BROKER_URL", "DATABASE_URL"
RESULT_CHANNEL_VARIABLE = "SETTLE_OUTCOME_URL"


def explain(error: Exception) -> str | None:
    """Say in one line, and without a password, what went wrong; None for a mistake of ours."""
    from service.addresses import hide_password  # noqa: PLC0415 - only where something is wrong

    for prefix, classes in _expected().items():
        if isinstance(error, classes):
            text = hide_password(str(error)).strip() or type(error).__name__
            return prefix + text.partition("\n")[0]
    # Those of servers derive from it, and are told above.
    if isinstance(error, OSError):
        why = error.strerror or str(error) or type(error).__name__
        where = error.filename or "cannot read or write"
        return hide_password(f"{where}: {why}")
    if isinstance(error, UnicodeError):
        return "an argument or a file is not UTF-8"
    return None


def say_of_broker(error: BaseException) -> str:
    """Say in one line, and without a password, why the broker is not known to have a message."""
    from service.addresses import hide_password  # noqa: PLC0415 - only where something is wrong
    from settle_client.redis_queue import NotReplicatedError  # noqa: PLC0415 - the same

    why = hide_password(str(error)) or type(error).__name__
    fix = "; start more, or lower SETTLE_BROKER_MIN_REPLICAS"
    return f"the broker of {BROKER_VARIABLE}: {why}" + (
        fix if isinstance(error, NotReplicatedError) else ""
    )


def _expected() -> dict[str, tuple[type[Exception], ...]]:
    import amqp.exceptions  # noqa: PLC0415 - the same
    import kombu.exceptions  # noqa: PLC0415 - the same
    import redis  # noqa: PLC0415 - the same

    from cli.embedded import ServerUnavailable  # noqa: PLC0415 - the same
    from db import DatabaseError  # noqa: PLC0415 - the same
    from service.settings import SettingsError  # noqa: PLC0415 - the same
    from settle_client.errors import SettleError  # noqa: PLC0415 - the same

    return {
        "": (SettingsError, SettleError, ServerUnavailable, TimeoutError),
        f"the database of {DATABASE_VARIABLE}: ": (DatabaseError,),
        f"the broker of {BROKER_VARIABLE}: ": (
            *(kombu.exceptions.OperationalError, amqp.exceptions.AMQPError),
        ),
        f"the Redis of {_redis_variable()}: ": (redis.RedisError,),
    }


def not_installed(error: ModuleNotFoundError, extra: str = "http") -> click.ClickException:
    """Say how to install what a command over HTTP needs."""
    return click.ClickException(
        f"{error.name} is not installed: pip install '.[{extra}]' in a checkout of Settle"
    )


def _redis_variable() -> str:
    # Nobody but the result channel's users comes to an error of redis-py.
    is_set = bool(os.environ.get(RESULT_CHANNEL_VARIABLE))
    return RESULT_CHANNEL_VARIABLE if is_set else BROKER_VARIABLE


def prepare_streams() -> None:
    """Let nothing fail for a stream that is closed, or a character that a terminal lacks."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - for good
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print an error; where even that is not taken, the exit status has to do."""
    with suppress(OSError):
        click.echo(f"Error: {text}", err=True)
    # What could not be written would be tried again, and told with a traceback, at the end.
    with suppress(OSError):
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
