"""`settle migrate`: create the events table, or bring it to the newest schema."""

from __future__ import annotations

import click

from db.migrate import migrate
from db.revisions import newest_revision
from service.addresses import hide_password
from service.settings import load_settings


@click.command("migrate")
def command() -> None:
    """Create or upgrade the events table; safe to run again, and by several at once."""
    url = load_settings().database_url
    migrate(url)
    click.echo(f"The events table is at revision {newest_revision()} in {hide_password(url)}")
