"""`settle retention`: old outcomes and old dead letters, removed; for a scheduler to run."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from service.settings import load_settings
from settle_client.moments import timestamp
from settle_client.names import DEAD_LETTERS, OUTCOMES
from settle_client.redis_server import open_client
from tasks.retention import AgedStream, Removal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from click.decorators import FC

MILLISECONDS = {"h": 3_600_000, "d": 86_400_000}


class Age(NamedTuple):
    """An age, as it was written."""

    text: str
    milliseconds: int


def read_age(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Age | None:
    """Read an age in hours or days: `36h`, `7d`.

    Raises:
        click.BadParameter: It is something else.
    """
    if value is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})([hd])", value)
    if not found:
        raise click.BadParameter(f"{value!r} is not an age: write hours or days, as in 36h or 7d")
    return Age(value, int(found[1]) * MILLISECONDS[found[2]])


def age_option(name: str, what: str) -> Callable[[FC], FC]:
    """Make an option that is an age."""
    return click.option(
        name, metavar="AGE", callback=read_age, help=f"Remove {what} older than this."
    )


@click.command("retention")
@age_option("--outcomes", "outcomes")
@age_option("--dead-letters", "dead letters")
@click.option("--force", is_flag=True, help="Also what a consumer group still needs.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    *, outcomes: Age | None, dead_letters: Age | None, force: bool, dry_run: bool, as_json: bool
) -> None:
    """Remove outcomes and dead letters that are older than an age, such as 36h or 7d.

    What has no age given is left as it is. Outcomes that a consumer group has not
    read or not acknowledged are kept, and the group is named, unless --force is given.
    """
    if outcomes is None and dead_letters is None:
        raise click.UsageError("nothing to remove: give --outcomes AGE, --dead-letters AGE or both")
    report: dict[str, Any] = {"dryRun": dry_run}
    url = load_settings().result_channel_url
    for what, name, age in (
        ("outcomes", OUTCOMES, outcomes),
        ("dead letters", DEAD_LETTERS, dead_letters),
    ):
        with open_client(url, asynchronous=False, key=name, decode_responses=True) as client:
            stream = AgedStream(client, name)
            fields = _clean(what, stream, age, force=force, dry_run=dry_run)
            report["deadLetters" if name == DEAD_LETTERS else what] = fields
            if not as_json:
                click.echo(_describe(what, fields, dry_run=dry_run))
    if as_json:
        click.echo(json.dumps(report))


def _clean(
    what: str, stream: AgedStream, age: Age | None, *, force: bool, dry_run: bool
) -> dict[str, Any]:
    if age is None:
        return _fields(None, None, Removal(0, len(stream), {}))
    cutoff = stream.cutoff(age.milliseconds)
    removal = stream.remove(cutoff, force=force, dry_run=dry_run)
    _warn(what, age, removal.held_back)
    return _fields(age, cutoff, removal)


def _fields(age: Age | None, cutoff: str | None, removal: Removal) -> dict[str, Any]:
    return {
        "olderThan": age and age.text,
        "before": cutoff and _time_of(cutoff),
        "removed": removal.removed,
        "left": removal.left,
        "heldBackBy": [
            {"group": group, "from": id_, "time": _time_of(id_)}
            for group, id_ in removal.held_back.items()
        ],
    }


def _warn(what: str, age: Age, held_back: Mapping[str, str]) -> None:
    for group, id_ in held_back.items():
        click.echo(
            f"{what} older than {age.text} are kept from {_time_of(id_)} on: consumer group "
            f"{group!r} has not read or not acknowledged {id_}. Start it, destroy it, or --force",
            err=True,
        )


def _describe(what: str, fields: Mapping[str, Any], *, dry_run: bool) -> str:
    left = f"{fields['left']:,} left"
    if fields["olderThan"] is None:
        return f"{what}: not touched, {left}"
    verb = "would remove" if dry_run else "removed"
    return f"{what}: {verb} {fields['removed']:,} from before {fields['before']}, {left}"


def _time_of(id_: str) -> str:
    milliseconds = int(id_.partition("-")[0])
    return timestamp(datetime.fromtimestamp(milliseconds / 1_000, UTC))
