"""`settle contracts`: both doors described for machines."""

from __future__ import annotations

from pathlib import Path

import click

from cli.contracts.documents import write


@click.command("contracts")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def command(*, directory: Path) -> None:
    """Write OpenAPI, AsyncAPI and JSON Schemas into DIRECTORY."""
    try:
        paths = write(directory)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    for path in paths:
        click.echo(directory / path)
