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
    sections = [
        f"## {path}\n\n```text\n{_help(path, command)}\n```\n"
        for path, command in _walk("settle", main)
    ]
    return "\n".join([_HEAD, *rows, "", *sections])


def _code(whose: str) -> str:
    return whose if whose.startswith("every") else f"`{whose}`"


def _walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if path != "settle":
        yield path, command
    if not isinstance(command, click.Group):
        return
    context = click.Context(command, info_name=path)
    for name in command.list_commands(context):
        if child := command.get_command(context, name):
            yield from _walk(f"{path} {name}", child)


def _help(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH)
    return command.get_help(context)


_HEAD = """\
# Commands

<!-- Written by `settle config --commands-reference`; a test fails when this page is stale. -->

Errors, warnings and progress go to stderr, results to stdout. An error is one line.

## Exit statuses

| status | of | meaning |
|--:|---|---|"""
