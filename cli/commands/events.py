"""`settle events`: events, created from a file or a pipe."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import click

from cli import exit_status
from cli.lines.progress import Meter
from cli.lines.reading import ENCODING, ERRORS, read_updates
from cli.lines.refusals import Refusals
from db import BadDataError, Database
from service.settings import load_settings
from tasks.errors import NotUnderstoodError
from tasks.messages import InvalidUpdate
from tasks.new_events import MAX_EVENTS, OTHER_CONTENT, understand_new_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.lines.reading import Place
    from db import Creation


@click.group("events")
def command() -> None:
    """Create events."""


@command.command("load")
@click.argument("source", type=click.File("r", encoding=ENCODING, errors=ERRORS), metavar="FILE")
def load(source: IO[str]) -> None:
    """Create the pending events of FILE: a JSON array, or one JSON event a line; - for a pipe.

    An event has id, accountId, eventType, and payload and createdAt if wanted. To load
    the same again is safe. What is not valid, or has an id that another event has, is told
    with its line, and everything else is created all the same. DATABASE_URL names a role
    that may insert.
    """
    told: Counter[str] = Counter()
    refusals = Refusals()
    settings, remaining = load_settings(), read_updates(source)
    with closing(Database(settings.database_url)) as database, Meter("Loading", "events") as meter:
        while batch := list(islice(remaining, MAX_EVENTS)):
            for place, refusal in _load(database, batch, told):
                refusals.add(place, refusal)
            meter.update(told.total() + refusals.count)
    for line in refusals.lines():
        click.echo(line, err=True)
    click.echo(
        f"Created {told['created']:,} events, {told['there']:,} were there already, "
        f"{refusals.count:,} refused.",
        err=True,
    )
    if refusals.count:
        click.get_current_context().exit(exit_status.BAD_INPUT)


def _load(
    database: Database, batch: list[tuple[Place, Any]], told: Counter[str]
) -> Iterator[tuple[Place, str]]:
    """Create events; yield the places of those that are not, and why."""
    good: list[tuple[Place, Creation]] = []
    for place, value in batch:
        try:
            good.append((place, _understand(value)))
        except NotUnderstoodError as error:
            yield place, str(error).removeprefix("[0].").removeprefix("[0]: ")
    yield from _create(database, good, told)


def _create(
    database: Database, good: list[tuple[Place, Creation]], told: Counter[str]
) -> Iterator[tuple[Place, str]]:
    if not good:
        return
    try:
        created = database.create_events([creation for _, creation in good])
    except BadDataError as error:
        if len(good) == 1:
            yield good[0][0], str(error)
            return
        # One value is to blame, which the database does not name.
        middle = len(good) // 2
        yield from _create(database, good[:middle], told)
        yield from _create(database, good[middle:], told)
        return
    for (place, _), one in zip(good, created, strict=True):
        if one.row is None:
            yield place, OTHER_CONTENT
        else:
            told["created" if one.is_new else "there"] += 1


def _understand(value: Any) -> Creation:
    if isinstance(value, InvalidUpdate):
        raise NotUnderstoodError(value.error)
    try:
        body = json.dumps([value]).encode()
    except (ValueError, RecursionError) as error:
        raise NotUnderstoodError(f"cannot be sent: {error}") from None
    (event,) = understand_new_events(body)
    return event.as_creation()
