"""`settle dead`: the dead letters, looked at, sent again and dropped."""

from __future__ import annotations

import json
import sys
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
import redis
from rich.console import Console
from rich.table import Table

from cli import exit_status
from db import Database
from service.settings import Settings, load_settings
from settle_client.names import QUEUE, TASK
from settle_client.redis_server import open_client
from tasks.dead_letters import DeadLetters, KeptLetter
from tasks.errors import NotUnderstoodError
from tasks.replaying import Replay, replay_of
from tasks.settle import outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from settle_client.update import StatusUpdate

REASON_CHARACTERS = 60

ENTRIES = click.argument("entries", nargs=-1, metavar="[ID]...")
ALL = click.option("--all", "everything", is_flag=True, help="All there are now.")


@click.group("dead")
def command() -> None:
    """Look at the dead letters, send them again, or drop them."""


@contextmanager
def opened(settings: Settings) -> Iterator[DeadLetters]:
    """Open the stream."""
    url = settings.result_channel_url
    with open_client(url, asynchronous=False, decode_responses=True) as client:
        yield DeadLetters(client)


@command.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def list_command(*, limit: int, as_json: bool) -> None:
    """List the newest dead letters, the newest last."""
    with opened(load_settings()) as letters:
        shown, count = letters.newest(limit), len(letters)
    if as_json:
        for letter in shown:
            click.echo(json.dumps(_fields(letter)))
        return
    if not shown:
        click.echo("There are no dead letters.")
        return
    table = Table("id", "time", "message", "deaths", "reason")
    for letter in shown:
        reason = letter.reason[:REASON_CHARACTERS]
        table.add_row(letter.entry, letter.time, letter.message_id, str(letter.deliveries), reason)
    console = Console()
    console.print(table, markup=False)
    if count > len(shown):
        console.print(f"The newest {len(shown)} of {count:,}.")


@command.command()
@click.argument("entry", metavar="ID")
@click.pass_context
def show(ctx: click.Context, *, entry: str) -> None:
    """Show all that is known of one dead letter."""
    with opened(load_settings()) as letters:
        letter = _find(letters, entry)
    if letter is None:
        ctx.exit(exit_status.BAD_INPUT)
    fields = _fields(letter)
    raw = fields.pop("raw")
    for name, value in fields.items():
        click.echo(f"{name:12} {value if isinstance(value, str) else json.dumps(value)}")
    with suppress(ValueError, RecursionError):
        raw = json.dumps(json.loads(raw), indent=2)
    click.echo(raw)


@command.command()
@ENTRIES
@ALL
@click.option("--dry-run", is_flag=True, help="Say what would happen, and do nothing.")
@click.pass_context
def replay(
    ctx: click.Context, *, entries: tuple[str, ...], everything: bool, dry_run: bool
) -> None:
    """Send dead letters again, as messages of their own.

    What is not valid by the rules of today is kept. Workers settle the rest as
    any other update, and publish what becomes of it under the new message id.
    """
    settings = load_settings()
    with opened(settings) as letters, closing(Database(settings.database_url)) as database:
        chosen, all_found = _choose(letters, entries, everything=everything)
        kept = 0
        for letter in chosen:
            try:
                replay = replay_of(letter, max_updates=settings.message_max_updates, expand=_expand)
            except NotUnderstoodError as error:
                kept += 1
                click.echo(f"{letter.entry}: still not valid, kept: {error}", err=True)
                continue
            for one in replay.rest:
                kept += 1
                click.echo(f"{letter.entry}: a part still not valid, kept: {one.reason}", err=True)
            if dry_run:
                for update in replay.updates:
                    click.echo(f"{letter.entry}: {_foresee(letter, update, database)}")
            else:
                # In this order: what is killed in between sends the same again.
                _send(replay)
                letters.replace(letter, replay.rest)
                click.echo(f"{letter.entry}: sent again as message {replay.message_id}")
    if kept or not all_found:
        ctx.exit(exit_status.BAD_INPUT)


@command.command()
@ENTRIES
@ALL
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def drop(ctx: click.Context, *, entries: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Remove dead letters for good."""
    with opened(load_settings()) as letters:
        chosen, all_found = _choose(letters, entries, everything=everything)
        ids = [letter.entry for letter in chosen]
        if ids and not yes:
            if not sys.stdin.isatty():
                raise click.UsageError("nobody can be asked here: add --yes")
            click.confirm(f"Drop {len(ids):,} dead letters for good?", abort=True)
        click.echo(f"Dropped {letters.drop(ids):,}.")
    if not all_found:
        ctx.exit(exit_status.BAD_INPUT)


def _choose(
    letters: DeadLetters, entries: tuple[str, ...], *, everything: bool
) -> tuple[list[KeptLetter], bool]:
    if bool(entries) == everything:
        raise click.UsageError("give the ids of dead letters, or --all")
    if everything:
        return list(letters.all()), True
    found = [letter for entry in entries if (letter := _find(letters, entry))]
    return found, len(found) == len(entries)


def _find(letters: DeadLetters, entry: str) -> KeptLetter | None:
    try:
        letter = letters.find(entry)
    except redis.ResponseError:
        letter = None
    if letter is None:
        click.echo(f"{entry}: there is no such dead letter; see settle dead list", err=True)
    return letter


def _fields(letter: KeptLetter) -> dict[str, Any]:
    fields = asdict(letter)
    first = {"id": "entry", "messageId": "message_id", "index": "index"}
    return {**{name: fields.pop(field) for name, field in first.items()}, **fields}


def _foresee(letter: KeptLetter, update: StatusUpdate, database: Database) -> str:
    row = database.read_events([update.id]).get(update.id)
    outcome = outcome_of(letter.message_id, update, row)
    if outcome.updated:
        return f"{update.id} was settled by this message"
    if row is not None and row.status is None and outcome.account_id is not None:
        return f"{update.id} would be {update.status}"
    return f"{update.id} would not be updated: {outcome.reason}"


def _expand(body: bytes, compression: str) -> bytes:
    import kombu.compression  # noqa: PLC0415 - for the few letters that need it

    from worker.seams import decompression  # noqa: PLC0415 - the same

    decompression.install()
    registry: Any = kombu.compression
    return bytes(registry.decompress(body, compression))


def _send(replay: Replay) -> None:
    from worker.celery import app  # noqa: PLC0415 - the slow import, for the slow part

    app.send_task(
        TASK,
        args=replay.arguments,
        task_id=replay.message_id,
        queue=QUEUE,
        ignore_result=True,
    )
