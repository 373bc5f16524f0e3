"""`settle publish`: send updates from the command line, a file or a pipe."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any

import click

from cli import exit_status
from cli.commands.outcomes import show
from cli.durations import Seconds
from cli.lines.progress import Meter
from cli.lines.reading import ENCODING, ERRORS, ONLY, read_updates
from cli.publishing import Sent, send_all
from service.settings import load_settings
from settle_client import OutcomeClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cli.lines.reading import Place
    from service.settings import Settings
    from settle_client import Outcome


@click.command("publish")
@click.argument("event_id", required=False)
@click.argument("status", required=False)
@click.option("--account-id", help="Only if the event is of this account.")
@click.option(
    "--file",
    "-f",
    "source",
    type=click.File("r", encoding=ENCODING, errors=ERRORS),
    help="A JSON array of updates, or one JSON update a line; - for standard input.",
)
@click.option(
    "--start-at",
    metavar="N",
    default=1,
    type=click.IntRange(min=1),
    help="Begin with this line of the file, or element of its array.",
)
@click.option(
    "--updates-per-message",
    type=click.IntRange(min=1),
    help="How many updates of a file travel together. Default: as many as a message may carry.",
)
@click.option("--wait", is_flag=True, help="Wait for the outcomes and print them.")
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=Seconds(min=0),
    help="How long to wait for all of them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print outcomes as JSON, one a line.")
def command(
    *,
    event_id: str | None,
    status: str | None,
    account_id: str | None,
    source: IO[str] | None,
    start_at: int,
    updates_per_message: int | None,
    wait: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Send the update EVENT_ID STATUS, or those of a file.

    STATUS is completed or failed. What is not valid is told with its line and
    field, and everything else is sent all the same. Where sending is cut short it is
    said with which --start-at to go on.
    """
    settings = load_settings()
    if (source is None) == (status is None) or (event_id is None) != (status is None):
        raise click.UsageError("give EVENT_ID and STATUS, or --file")
    if source is not None and account_id is not None:
        raise click.UsageError("updates of a file have an accountId each: leave --account-id out")
    if source is None:
        update = {"id": event_id, "status": status, "accountId": account_id}
        updates: Iterator[tuple[Place, Any]] = iter([(ONLY, update)])
    else:
        updates = read_updates(source, start_at)
    size = min(updates_per_message or settings.message_max_updates, settings.message_max_updates)
    with closing(OutcomeClient(settings.result_channel_url)) as client:
        since = client.position() if wait else ""
        sent = _send(updates, settings, size)
        status_of_wait = exit_status.DONE
        if wait and sent.messages:
            outcomes = client.wait(sent.messages, timeout_seconds=timeout, since=since)
            status_of_wait = _await(outcomes, sent.updates, as_json=as_json)
    if sent.refusals.count and status_of_wait != exit_status.NO_OUTCOME:
        status_of_wait = exit_status.BAD_INPUT
    click.get_current_context().exit(status_of_wait)


def _send(updates: Iterator[tuple[Place, Any]], settings: Settings, size: int) -> Sent:
    sent, rest = Sent(), ""
    try:
        with Meter("Sending", "updates") as meter:
            send_all(updates, sent, settings, size=size, report=meter.update)
    except BaseException:  # also Ctrl-C
        if sent.start_at:
            rest = f"; to go on, --start-at {sent.start_at.number}"
        raise
    finally:
        for line in sent.refusals.lines():
            click.echo(line, err=True)
        click.echo(sent.summary() + rest, err=True)
    return sent


def _await(outcomes: Iterable[Outcome], expected: int, *, as_json: bool) -> int:
    """Print outcomes as they come, and return the exit status that tells what they are."""
    updated = count = 0

    def counted(meter: Meter) -> Iterator[Outcome]:
        nonlocal updated, count
        for outcome in outcomes:
            yield outcome
            count, updated = count + 1, updated + outcome.updated
            meter.update(count)

    # On a terminal the outcomes themselves say how far it is.
    is_quiet = sys.stdout.isatty()
    try:
        with Meter("Waiting", "outcomes", expected, is_quiet=is_quiet) as meter:
            show(counted(meter), as_json=as_json)
    except TimeoutError as error:
        click.echo(f"Error: {error}", err=True)
        return exit_status.NO_OUTCOME
    except KeyboardInterrupt:
        click.echo(f"Without an outcome so far: {expected - count:,} of {expected:,}", err=True)
        raise
    return exit_status.DONE if updated == count else exit_status.NOT_UPDATED
