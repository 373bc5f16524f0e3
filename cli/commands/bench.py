"""`settle bench`: the benchmarks, which come with the source and not with the package."""

from __future__ import annotations

from importlib import import_module

import click

try:
    command: click.Command = import_module("bench.command").command
except ModuleNotFoundError as error:
    if error.name not in ("bench", "bench.command"):
        raise
    raise click.ClickException(
        "the benchmarks are not in the installed package: run it in a checkout of the source"
    ) from error
