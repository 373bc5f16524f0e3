"""The page of the documentation with every command, as `--help` has it, and its exit statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.exit_status import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 100


def commands(main: click.Group) -> str:
    """Write `docs/commands.md`.

    Args:
        main: The whole command line.
    """
    rows = [f"| {status} | {_code(whose)} | {meaning} |" for status, whose, meaning in MEANINGS]
    settings = main.context_settings
    root = click.Context(
        main, info_name="settle", terminal_width=WIDTH, max_content_width=WIDTH, **settings
    )
    sections = [
        f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n"
        for context in _under(root)
    ]
    return "\n".join([_HEAD, *rows, "", *sections])


def _code(whose: str) -> str:
    return whose if whose.startswith("every") else f"`{whose}`"


def _under(context: click.Context) -> Iterator[click.Context]:
    """Yield a context for each command under one, and those under that."""
    group = context.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        if command := group.get_command(context, name):
            child = click.Context(command, parent=context, info_name=name)
            yield child
            yield from _under(child)


_HEAD = """\
# Commands

<!-- Written by `settle config --commands-reference`; a test fails when this page is stale. -->

Errors, warnings and progress go to stderr, results to stdout. An error is one line.

## Exit statuses

| status | of | meaning |
|--:|---|---|"""
