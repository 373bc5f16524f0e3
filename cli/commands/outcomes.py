"""`settle outcomes`: watch the result channel."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import click

from cli.printable import printable
from service.addresses import hide_password
from service.settings import load_settings
from settle_client.names import OUTCOMES
from settle_client.outcomes import OutcomeClient
from settle_client.salvage import UnreadOutcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from settle_client.outcome import Outcome


@click.command("outcomes")
@click.option("--from-start", is_flag=True, help="Begin with the oldest outcome in the stream.")
@click.option("--group", help="Read as a member of this consumer group: each outcome goes to one.")
@click.option(
    "--consumer", default=socket.gethostname, help="This member's name. Default: the host's."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(*, from_start: bool, group: str | None, consumer: str, as_json: bool) -> None:
    """Print outcomes as they come, until interrupted."""
    if from_start and group:
        raise click.UsageError("a group remembers where it is: use --from-start or --group")
    if "" in (group, consumer):
        raise click.UsageError("a group and a consumer are never without a name")
    url = load_settings().result_channel_url
    client = OutcomeClient(url)
    with closing(client), suppress(KeyboardInterrupt):
        if group:
            say_begun(f"Reading the stream {OUTCOMES} as {consumer} of the group {group}", url)
            show(client.follow(group, consumer, on_gone=say_gone), as_json=as_json)
        elif from_start:
            say_begun(f"Reading the stream {OUTCOMES} from its start", url)
            show(client.read(), as_json=as_json)
        else:
            with client.subscribe() as outcomes:
                say_begun(f"Listening to the channel {OUTCOMES}", url)
                show(outcomes, as_json=as_json)


def say_begun(what: str, url: str) -> None:
    """Say where outcomes are waited for: nothing else may come for a long time."""
    click.echo(f"{what} at {hide_password(url)}. Ctrl-C ends it.", err=True)


def show(outcomes: Iterator[Outcome], *, as_json: bool) -> None:
    """Print a line for each outcome as it comes."""
    for outcome in outcomes:
        click.echo(outcome.to_json() if as_json else describe(outcome))


def say_gone(count: int | None) -> None:
    """Say that outcomes will never be read."""
    what = "Outcomes may be" if count is None else f"{count:,} outcomes are"
    click.echo(f"{what} gone: trimmed from the stream before this group had read them.", err=True)


def describe(outcome: Outcome) -> str:
    """Say what became of an update in one line for a person."""
    if isinstance(outcome, UnreadOutcome):
        text = printable(f"(not an outcome: {outcome.why})  {outcome.text}")
        return click.style(text, fg="red")
    what = printable(f"{outcome.id or '(no id)'}  {outcome.status or '(no status)'}")
    if outcome.updated:
        return click.style(f"{what}  updated", fg="green")
    why = outcome.error.message if outcome.error else outcome.reason
    color = "red" if outcome.error else "yellow"
    return click.style(f"{what}  not updated: {printable(str(why))}", fg=color)
