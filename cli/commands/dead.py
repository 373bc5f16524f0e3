"""`settle dead`: the dead letters, looked at, sent again and dropped."""

from __future__ import annotations

import json
import sys
from collections import deque
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
import redis

from cli import exit_status
from cli.dead.listing import block, by_reason, has_reason
from cli.dead.replaying import foresee, opened_queue, send_again, understand
from cli.lines.refusals import Refusals
from cli.printable import printable
from db import Database
from service.settings import Settings, load_settings
from settle_client.names import DEAD_LETTERS
from settle_client.redis_server import open_client
from tasks.dead_letters import DeadLetters, KeptLetter
from tasks.errors import NotUnderstoodError

if TYPE_CHECKING:
    from collections.abc import Iterator

LETTERS_SHOWN = 50

ENTRIES = click.argument("entries", nargs=-1, metavar="[ID]...")
ALL = click.option("--all", "everything", is_flag=True, help="All there are now.")
REASON = click.option("--reason", help="Those with this text in their reason.")


@click.group("dead")
def command() -> None:
    """Look at the dead letters, send them again, or drop them."""


@contextmanager
def opened(settings: Settings) -> Iterator[DeadLetters]:
    """Open the stream."""
    url = settings.result_channel_url
    text = {"decode_responses": True, "encoding_errors": "backslashreplace"}
    with open_client(url, asynchronous=False, key=DEAD_LETTERS, **text) as client:
        yield DeadLetters(client)


@command.command("list")
@REASON
@click.option("--all", "everything", is_flag=True, help="Each letter, however many there are.")
@click.option("--limit", type=click.IntRange(min=1), help="The newest letters, so many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print letters, one JSON object a line.")
def list_command(*, reason: str | None, everything: bool, limit: int | None, as_json: bool) -> None:
    """Count the dead letters by reason; or list letters, the newest last.

    Letters are listed with any of the options; 50 of them at most, unless --all or --limit
    says otherwise.
    """
    with opened(load_settings()) as letters:
        if not (reason or everything or limit or as_json):
            _count(letters)
            return
        most = limit or (None if everything else LETTERS_SHOWN)
        chosen = letters.all() if reason is None else _of(reason, letters)
        shown = letters.newest(most) if most and reason is None else deque(chosen, most)
        for letter in shown:
            if as_json:
                click.echo(json.dumps(_fields(letter)))
            else:
                click.echo("\n".join(block(letter)))
        if not as_json:
            click.echo(f"{len(shown):,} shown, of {len(letters):,} dead letters.", err=True)


def _count(letters: DeadLetters) -> None:
    if not (groups := by_reason(letters.all())):
        click.echo("There are no dead letters.")
        return
    for group in groups:
        click.echo("\n".join(group.lines()))
    click.echo(
        "List, replay or drop those of a reason: --reason, with any part of its text.", err=True
    )


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
        text = printable(value) if isinstance(value, str) else json.dumps(value)
        click.echo(f"{name:12} {text}")
    try:
        raw = json.dumps(json.loads(raw), indent=2)
    except (ValueError, RecursionError):
        raw = printable(raw)
    click.echo(raw)


@command.command()
@ENTRIES
@REASON
@ALL
@click.option("--dry-run", is_flag=True, help="Say what would happen, and do nothing.")
@click.pass_context
def replay(
    ctx: click.Context,
    *,
    entries: tuple[str, ...],
    reason: str | None,
    everything: bool,
    dry_run: bool,
) -> None:
    """Send dead letters again, as messages of their own.

    What is not valid by the rules of today is kept. Workers settle the rest as
    any other update, and publish what becomes of it under the new message id.
    """
    settings = load_settings()
    with (
        opened(settings) as letters,
        opened_queue(settings) as queue,
        closing(Database(settings.database_url)) as database,
    ):
        chosen, all_found = _choose(letters, entries, reason, everything=everything)
        kept = Refusals()
        ctx.call_on_close(lambda: _say_each(kept))
        for letter in chosen:
            try:
                replay = understand(letter, settings)
            except NotUnderstoodError as error:
                kept.add(letter.entry, f"still not valid, kept: {error}")
                continue
            for one in replay.rest:
                kept.add(letter.entry, f"a part still not valid, kept: {one.reason}")
            if dry_run:
                for update in replay.updates:
                    click.echo(f"{letter.entry}: {foresee(letter, update, database)}")
            else:
                send_again(letter, replay, letters, queue)
                click.echo(f"{letter.entry}: sent again as message {printable(replay.message_id)}")
    if kept.count or not all_found:
        ctx.exit(exit_status.BAD_INPUT)


def _say_each(kept: Refusals) -> None:
    for line in kept.lines():
        click.echo(line, err=True)


@command.command()
@ENTRIES
@REASON
@ALL
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def drop(
    ctx: click.Context, *, entries: tuple[str, ...], reason: str | None, everything: bool, yes: bool
) -> None:
    """Remove dead letters for good."""
    with opened(load_settings()) as letters:
        chosen, all_found = _choose(letters, entries, reason, everything=everything)
        ids = [letter.entry for letter in chosen]
        if ids and not yes:
            if not sys.stdin.isatty():
                raise click.UsageError("nobody can be asked here: add --yes")
            click.confirm(f"Drop {len(ids):,} dead letters for good?", abort=True)
        click.echo(f"Dropped {letters.drop(ids):,}.")
    if not all_found:
        ctx.exit(exit_status.BAD_INPUT)


def _choose(
    letters: DeadLetters, entries: tuple[str, ...], reason: str | None, *, everything: bool
) -> tuple[list[KeptLetter], bool]:
    if [bool(entries), bool(reason), everything].count(True) != 1:
        raise click.UsageError("give the ids of dead letters, or --reason, or --all")
    if everything:
        return list(letters.all()), True
    if reason:
        of_reason = list(_of(reason, letters))
        if not of_reason:
            click.echo("no dead letter has this reason; see settle dead list", err=True)
        return of_reason, bool(of_reason)
    found = [letter for entry in entries if (letter := _find(letters, entry))]
    return found, len(found) == len(entries)


def _of(reason: str, letters: DeadLetters) -> Iterator[KeptLetter]:
    return (letter for letter in letters.all() if has_reason(letter, reason))


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
