"""`settle gateway`: the HTTP door."""

from __future__ import annotations

import logging
from importlib.metadata import version
from pathlib import Path

import click

from cli.accounts import scope_of
from cli.errors import not_installed
from service.addresses import hide_password
from service.settings import Settings, SettingsError, load_settings

logger = logging.getLogger(__name__)


@click.group("gateway", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Serve PATCH /v2/api/events/batch: the guarded update over HTTP, until told to stop."""
    if context.invoked_subcommand is None:
        serve(load_settings())


def serve(settings: Settings) -> None:
    """Serve with these settings.

    Raises:
        SettingsError: They cannot work.
    """
    try:
        from gateway.access.admission import is_loopback  # noqa: PLC0415
        from gateway.application import make_application  # noqa: PLC0415
        from gateway.serving import server  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError as error:
        raise not_installed(error) from error
    from cli.contracts import openapi  # noqa: PLC0415 - takes its time
    from gateway.access.keys import Keys  # noqa: PLC0415
    from service.connections import make_service  # noqa: PLC0415

    host, port = settings.gateway_host, settings.gateway_port
    keys = Keys(Path(settings.gateway_keys_file)) if settings.gateway_keys_file else None
    if keys is None and not is_loopback(host):
        raise SettingsError(
            "SETTLE_GATEWAY_KEYS_FILE: is required, because SETTLE_GATEWAY_HOST is not loopback: "
            "name a file of keys, or listen on 127.0.0.1"
        )
    service = make_service(settings)
    server.log_as(settings.log_format)
    listening = server.listen(host, port)
    logger.info(
        "gateway starts",
        extra={
            "address": f"http://{f'[{host}]' if ':' in host else host}:{port}",
            "keys": settings.gateway_keys_file or "none: from this machine only",
            "database": hide_password(settings.database_url),
            "lists": hide_password(settings.read_database_url or "from the same"),
            "result_channel": hide_password(settings.result_channel_url),
            "settle": version("settle"),
        },
    )
    application = make_application(settings, service, keys, openapi.document())
    server.serve(application, listening, stop_timeout_seconds=settings.stop_timeout_seconds)
    logger.info("gateway stopped")


@command.command("new-key")
@click.argument("name")
@click.option("--account", "accounts", multiple=True, help="Whose events; may be given again.")
@click.option("--all-accounts", is_flag=True, help="The events of all accounts.")
def new_key(*, name: str, accounts: tuple[str, ...], all_accounts: bool) -> None:
    """Draw an API key.

    The key itself goes to stderr, for whoever will use it; what the file of keys needs, to stdout.
    """
    from gateway.access.keys import as_toml, draw  # noqa: PLC0415

    if not name:
        raise click.UsageError("the name of a key is not empty")
    token, key = draw(name, scope_of(accounts, all_accounts=all_accounts))
    click.echo(f"The key, which is not kept anywhere: {token}", err=True)
    click.echo(as_toml(key))
