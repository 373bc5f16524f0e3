"""The command `settle`: one subcommand a module in `cli.commands`.

Subcommands are imported when they are called, for their imports are what takes
the time. An error that a user can act on is one line on stderr (`cli.errors`), and an
exit status says which kind it is (`cli.exit_status`).
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from cli import errors, exit_status

COMMANDS = (
    *("demo", "init", "migrate", "doctor", "gateway", "webhooks", "health", "top", "page"),
    *("events", "publish", "outcomes", "dead", "retention", "config", "contracts", "bench"),
)


class Settle(click.Group):
    """Finds subcommands by name, and ends with an exit status that says what happened."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"cli.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is typed, or name the nearest one."""
        from difflib import get_close_matches  # noqa: PLC0415 - not for what is typed right

        if args[0] not in COMMANDS and (near := get_close_matches(args[0], COMMANDS, n=1)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line, and say what goes wrong in one line where that is possible."""
        errors.prepare_streams()
        try:
            return super().main(*args, **extra)
        except Exception as error:
            text = errors.explain(error)
            if text is None:
                raise
            errors.say(text)
            sys.exit(exit_status.FAILED)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(exit_status.INTERRUPTED)


@click.group(cls=Settle, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="settle")
def main() -> None:
    """Mark events completed or failed: once only, in batches, with an outcome for each update.

    The service itself is a Celery worker: celery -A worker worker
    """
    from service.spelling import misspelt  # noqa: PLC0415 - not for --help

    for name, hint in misspelt(os.environ).items():
        click.echo(f"Warning: {name} is no setting: {hint}", err=True)
