"""`settle webhooks`: outcomes pushed to endpoints, and what to do where they are not taken."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from cli import exit_status
from cli.accounts import scope_of
from cli.endpoints import fields_of, lines_of
from cli.errors import not_installed
from cli.printable import printable
from service.addresses import is_cluster
from service.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from service.channel import Channel
    from webhooks.endpoints import Endpoints
    from webhooks.looking import Standing

logger = logging.getLogger(__name__)

NAME = click.argument("name")


@click.group("webhooks", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Push outcomes to the endpoints of SETTLE_WEBHOOKS_FILE, until told to stop."""
    if context.invoked_subcommand is None:
        push(load_settings())


def push(settings: Settings) -> None:
    """Push with these settings.

    Raises:
        SettingsError: They cannot work.
    """
    try:
        from webhooks.process import run  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError as error:
        raise not_installed(error, "webhooks") from error
    from service import log  # noqa: PLC0415 - not for --help

    endpoints = read_endpoints(settings)
    log.log_as(settings.log_format)
    run(settings, endpoints)
    logger.info("webhooks stopped")


def read_endpoints(settings: Settings) -> Endpoints:
    """Read the file of endpoints.

    Raises:
        SettingsError: There is none, or what it says cannot be meant.
    """
    from webhooks.endpoints import COMMAND, SETTING, Endpoints  # noqa: PLC0415 - not for --help

    if is_cluster(settings.result_channel_url):
        raise SettingsError(
            f"{settings.result_channel_variable}: outcomes cannot be pushed from a Redis Cluster: "
            "set it to one Redis, or let consumers ask for them over HTTP"
        )
    if not settings.webhooks_file:
        raise SettingsError(f"{SETTING}: is required: name a file of endpoints; see {COMMAND}")
    return Endpoints(Path(settings.webhooks_file))


@command.command("new-endpoint")
@NAME
@click.argument("url")
@click.option("--account", "accounts", multiple=True, help="Whose outcomes; may be given again.")
@click.option("--all-accounts", is_flag=True, help="The outcomes of all accounts.")
def new_endpoint(*, name: str, url: str, accounts: tuple[str, ...], all_accounts: bool) -> None:
    """Draw a secret for an endpoint, and print what the file of endpoints needs.

    The secret is for both sides: the endpoint verifies with it what it is sent.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - not for --help

    from webhooks.endpoints import as_toml, draw_secret  # noqa: PLC0415

    scope = scope_of(accounts, all_accounts=all_accounts)
    try:
        click.echo(as_toml(name, url, scope, draw_secret()))
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        text = problem["msg"].removeprefix("Value error, ")
        raise click.UsageError(f"{problem['loc'][0]}: {text}") from None


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print endpoints, one JSON object a line.")
def list_command(*, as_json: bool) -> None:
    """Show how each endpoint stands: what waits for it, what it failed with, what was set aside."""
    settings = load_settings()
    from webhooks.looking import find_others, look  # noqa: PLC0415 - not for --help

    known = [endpoint.name for endpoint in read_endpoints(settings).all()]

    async def ask(channel: Channel) -> list[Standing]:
        others = await look(channel, await find_others(channel, known))
        left = [each for each in others if each.waiting or each.kept]
        return [*await look(channel, known), *left]

    for standing in _asked(settings, ask):
        is_known = standing.name in known
        fields = {**fields_of(standing), "inFile": is_known}
        lines = lines_of(standing, is_known=is_known)
        click.echo(json.dumps(fields) if as_json else "\n".join(lines))


@command.command()
@NAME
def enable(*, name: str) -> None:
    """Let an endpoint be tried again, at once: what waits for it is sent, in order."""
    settings = load_settings()
    from webhooks import mending  # noqa: PLC0415 - not for --help

    _check_name(settings, name)
    waiting = _asked(settings, lambda channel: mending.enable(channel, name))
    click.echo(f"{name} is tried again; {waiting:,} outcomes wait for it.")


@command.command()
@NAME
def kept(*, name: str) -> None:
    """Print what was set aside for an endpoint, oldest first: one JSON object a line."""
    settings = load_settings()
    from webhooks import mending  # noqa: PLC0415 - not for --help

    _find_name(settings, name)

    async def show(channel: Channel) -> None:
        async for fields in mending.kept(channel, name):
            click.echo(f'{{"reason": "{fields["reason"]}", "outcome": {fields["outcome"]}}}')

    _asked(settings, show)


@command.command()
@NAME
def replay(*, name: str) -> None:
    """Send what was set aside for an endpoint again, behind what waits for it."""
    settings = load_settings()
    from webhooks import mending  # noqa: PLC0415 - not for --help

    _check_name(settings, name)
    count = _asked(settings, lambda channel: mending.replay(channel, name))
    click.echo(f"{count:,} outcomes are sent to {name} again.")


@command.command()
@NAME
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(*, name: str, yes: bool) -> None:
    """Forget what was set aside for an endpoint, for good.

    Of an endpoint that is not in the file any more, all that waits for it too.
    """
    settings = load_settings()
    from webhooks import mending  # noqa: PLC0415 - not for --help

    is_known = _find_name(settings, name)
    if not yes:
        what = "what was set aside" if is_known else "all that there is"
        click.confirm(f"Forget {what} for {printable(name)}?", abort=True)
    forget = mending.drop if is_known else mending.forget
    count = _asked(settings, lambda channel: forget(channel, name))
    click.echo(f"{count:,} outcomes are forgotten.")


def _check_name(settings: Settings, name: str) -> None:
    endpoints = read_endpoints(settings)
    if endpoints.find(name) is None:
        _refuse_name(name, [endpoint.name for endpoint in endpoints.all()])


def _find_name(settings: Settings, name: str) -> bool:
    """Return whether an endpoint is in the file; it may be out of it, and something left of it."""
    from webhooks.looking import find_others  # noqa: PLC0415 - not for --help

    known = [endpoint.name for endpoint in read_endpoints(settings).all()]
    if name in known:
        return True
    others = _asked(settings, lambda channel: find_others(channel, known))
    if name not in others:
        _refuse_name(name, [*known, *others])
    return False


def _refuse_name(name: str, names: list[str]) -> NoReturn:
    there = ", ".join(names)
    click.echo(f"{printable(name)}: there is no such endpoint; there are: {there}", err=True)
    raise SystemExit(exit_status.BAD_INPUT)


def _asked(settings: Settings, ask: Callable[[Channel], Awaitable[Any]]) -> Any:
    """Ask the Redis of the result channel."""

    async def run() -> Any:
        async with _opened(settings) as channel:
            return await ask(channel)

    from service.channel import ChannelAwayError  # noqa: PLC0415 - not for --help

    # It would be said twice.
    logging.getLogger("service.trouble_log").disabled = True
    try:
        return asyncio.run(run())
    except ChannelAwayError as error:
        raise error.__cause__ or error from None


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Channel]:
    from service.channel import Channel  # noqa: PLC0415 - not for --help
    from settle_client.redis_server import open_reader  # noqa: PLC0415

    channel = Channel(open_reader(settings.result_channel_url, asynchronous=True))
    try:
        yield channel
    finally:
        await channel.close()
