"""The command `settle`: one subcommand a module in `cli.commands`.

Subcommands are imported when they are called, for their imports are what takes
the time. An error that a user can act on is one line on stderr and exit code 1,
or 2 where the input is to blame; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

COMMANDS = (
    *("demo", "init", "migrate", "doctor", "gateway", "health", "top", "publish", "outcomes"),
    *("dead", "retention", "config", "contracts", "bench"),
)


class Settle(click.Group):
    """Finds subcommands by name and turns expected errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"cli.commands.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except click.exceptions.Exit:
            raise
        except Exception as error:
            text = _expected(error)
            if text is None:
                raise
            raise click.ClickException(text) from error


def _expected(error: Exception) -> str | None:
    import kombu.exceptions  # noqa: PLC0415
    import redis  # noqa: PLC0415

    from cli.embedded import ServerUnavailable  # noqa: PLC0415
    from db import DatabaseError  # noqa: PLC0415
    from service.addresses import hide_password  # noqa: PLC0415
    from service.settings import SettingsError  # noqa: PLC0415
    from settle_client.errors import SettleError  # noqa: PLC0415

    kinds: dict[str, tuple[type[Exception], ...]] = {
        "": (SettingsError, SettleError, ServerUnavailable, TimeoutError),
        "the database: ": (DatabaseError,),
        "the broker: ": (kombu.exceptions.OperationalError,),
        "Redis: ": (redis.RedisError,),
    }
    for prefix, classes in kinds.items():
        if isinstance(error, classes):
            text = hide_password(str(error)).strip() or type(error).__name__
            return prefix + text.partition("\n")[0]
    return None


@click.group(cls=Settle, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="settle")
def main() -> None:
    """Mark events completed or failed: once only, in batches, with an outcome for each update.

    The service itself is a Celery worker: celery -A worker worker
    """
