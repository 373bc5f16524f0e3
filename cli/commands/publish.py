"""`settle publish`: send updates from the command line, a file or a pipe."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli.commands.outcomes import show
from service.settings import load_settings
from settle_client import NotSentError, OutcomeClient, Producer, SettleError
from tasks.messages import InvalidUpdate, validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from settle_client import StatusUpdate

EXIT_BAD_INPUT = 2
# How long a broker that is away is waited for.
SEND_SECONDS = 5.0


@dataclass
class Sent:
    """What has gone out so far, and what has not."""

    messages: dict[str, list[str]] = field(default_factory=dict)
    updates: int = 0
    refused: int = 0

    def add(self, message_id: str, updates: Sequence[StatusUpdate]) -> None:
        """Record a message."""
        self.messages[message_id] = [update.id for update in updates]
        self.updates += len(updates)

    def remove(self, message_ids: Iterable[str]) -> None:
        """Take back messages that were not sent after all."""
        for message_id in message_ids:
            self.updates -= len(self.messages.pop(message_id, ()))

    def summary(self) -> str:
        """Say it in one line."""
        text = (
            f"Sent {_counted(self.updates, 'update')} in {_counted(len(self.messages), 'message')}"
        )
        return text + (f"; not sent: {self.refused} that are not valid" if self.refused else "")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@click.command("publish")
@click.argument("event_id", required=False)
@click.argument("status", required=False)
@click.option("--account-id", help="Only if the event is of this account.")
@click.option(
    "--file",
    "-f",
    "source",
    # What is no UTF-8 is no text of an update, and no reason to stop.
    type=click.File("r", encoding="utf-8", errors="surrogateescape"),
    help="A JSON array of updates, or one JSON update a line; - for standard input.",
)
@click.option(
    "--updates-per-message",
    type=click.IntRange(min=1),
    help="How many updates of a file travel together. Default: as many as a message may carry.",
)
@click.option("--wait", is_flag=True, help="Wait for the outcomes and print them.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds to wait.")
@click.option("--json", "as_json", is_flag=True, help="Print outcomes as JSON, one a line.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    event_id: str | None,
    status: str | None,
    account_id: str | None,
    source: IO[str] | None,
    updates_per_message: int | None,
    wait: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Send the update EVENT_ID STATUS, or those of a file.

    STATUS is completed or failed. What is not valid is told with its line and
    field, and everything else is sent all the same.
    """
    settings = load_settings()
    if (event_id is None) == (source is None):
        raise click.UsageError("give EVENT_ID and STATUS, or --file")
    if source is None:
        update = {"id": event_id, "status": status, "accountId": account_id}
        updates: Iterator[tuple[str, Any]] = iter([("update", update)])
    else:
        updates = read_updates(source)
    size = min(updates_per_message or settings.message_max_updates, settings.message_max_updates)
    with closing(OutcomeClient(settings.result_channel_url)) as client:
        since = client.position() if wait else ""
        sent = send_all(updates, size)
        click.echo(sent.summary(), err=True)
        if wait and sent.messages:
            outcomes = client.wait(sent.messages, timeout_seconds=timeout, since=since)
            show(outcomes, as_json=as_json)
    if sent.refused:
        ctx.exit(EXIT_BAD_INPUT)


def read_updates(source: IO[str]) -> Iterator[tuple[str, Any]]:
    """Read updates from a JSON array, or from one JSON value a line.

    Yields:
        Where it stands (`line 3`), and the value, undecoded lines as `InvalidUpdate`.
    """
    for number, line in enumerate(source, start=1):
        if not line.strip():
            continue
        if number == 1 and line.lstrip().startswith("["):
            yield from _read_array(line + source.read())
            return
        yield f"line {number}", _decode(line)


def _read_array(text: str) -> Iterator[tuple[str, Any]]:
    values = _decode(text)
    if isinstance(values, InvalidUpdate):
        yield "the array", values
        return
    for number, value in enumerate(values, start=1):
        yield f"element {number}", value


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        return InvalidUpdate("is not JSON: it is nested too deeply", text)
    except ValueError as error:
        return InvalidUpdate(f"is not JSON: {error}", text)


def send_all(updates: Iterator[tuple[str, Any]], size: int) -> Sent:
    """Send what is valid, in messages of at most `size` updates; tell what is not.

    Raises:
        SettleError: The broker went away; the text says from where on nothing
            is known to be sent.
    """
    settings = load_settings()
    options: dict[str, Any] = {}
    if settings.sentinel_master:
        options["master_name"] = settings.sentinel_master
    sent = Sent()
    places: dict[str, str] = {}
    with _progress() as progress:
        bar = progress.add_task("", total=None)
        valid = _valid(updates, sent, progress.console)
        place = ""
        try:
            with Producer(settings.broker_url, timeout_seconds=SEND_SECONDS, **options) as producer:
                while chunk := list(islice(valid, size)):
                    place = chunk[0][0]
                    together = [update for _, update in chunk]
                    message_id = producer.send_together(together)
                    places[message_id] = place
                    sent.add(message_id, together)
                    progress.update(bar, completed=sent.updates)
        except NotSentError as error:
            sent.remove(error.message_ids)
            first = next((places[i] for i in error.message_ids if i in places), place)
            raise SettleError(
                f"the broker: {error.__cause__ or error}; {sent.summary().lower()}, "
                f"nothing from {first} on"
            ) from error
    return sent


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("Sending"), BarColumn(), TextColumn("{task.completed} updates"))
    return Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _valid(
    updates: Iterator[tuple[str, Any]], sent: Sent, console: Console
) -> Iterator[tuple[str, StatusUpdate]]:
    for where, value in updates:
        update = value if isinstance(value, InvalidUpdate) else validate(value)
        if isinstance(update, InvalidUpdate):
            sent.refused += 1
            console.print(f"{where}: {update.error}", highlight=False, markup=False, soft_wrap=True)
        else:
            yield where, update
