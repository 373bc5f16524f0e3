"""`settle config`: the settings in force."""

from __future__ import annotations

import json
from typing import cast

import click

from cli import command_reference, reference
from service.settings import effective, load_settings


@click.command("config")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--reference", "as_reference", is_flag=True, help="Print docs/configuration.md.")
@click.option("--metrics-reference", is_flag=True, help="Print docs/metrics.md.")
@click.option("--commands-reference", is_flag=True, help="Print docs/commands.md.")
def command(
    *, as_json: bool, as_reference: bool, metrics_reference: bool, commands_reference: bool
) -> None:
    """Show the effective settings, secrets hidden."""
    if as_reference:
        click.echo(reference.configuration(), nl=False)
        return
    if metrics_reference:
        click.echo(reference.metrics(), nl=False)
        return
    if commands_reference:
        main = click.get_current_context().find_root().command
        click.echo(command_reference.commands(cast("click.Group", main)), nl=False)
        return
    values = effective(load_settings())
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    width = max(map(len, values))
    for name, value in values.items():
        click.echo(f"{name:{width}}  {'not set' if value is None else value}")
