"""`settle doctor`: is everything that the service relies on as it should be?"""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import exit_status
from cli.doctor import Verdict, examine_all
from service.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cli.doctor import CheckResult

# Of the columns: verdict, check; what was found is as long as it is.
WIDTHS = (7, 16, 0)
COLORS = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.FAILURE: "bold red",
    Verdict.UNKNOWN: "cyan",
}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Check servers, schema, privileges and settings; tell what to fix.

    Nothing is changed. The exit code is 1 if any check failed; warnings, and
    what could not be found out, are no failure.
    """
    settings = load_settings()
    from worker.celery import app  # noqa: PLC0415 - it leaves when the settings cannot work
    from worker.transport.broker import broker_of  # noqa: PLC0415 - the same

    # To ask workers with no more rights than a worker has.
    broker_of(settings.broker_url).install()
    results = list(examine_all(settings, app))
    if as_json:
        click.echo(json.dumps(to_json(results), indent=2))
    else:
        show(results, Console())
    if any(result.finding.verdict is Verdict.FAILURE for result in results):
        ctx.exit(exit_status.FAILED)


def to_json(results: Sequence[CheckResult]) -> dict[str, object]:
    """Write the results down for a program."""
    return {
        "failures": _count(results)[Verdict.FAILURE],
        "checks": [
            {
                "part": result.part.title,
                "check": result.check,
                "verdict": result.finding.verdict,
                "found": result.finding.found,
                "fix": result.finding.fix or None,
                "page": result.page,
            }
            for result in results
        ],
    }


def show(results: Sequence[CheckResult], console: Console) -> None:
    """Print the findings part by part, and their sum."""
    for part, of_part in groupby(results, key=lambda result: result.part):
        console.print(Text.assemble((part.title, "bold"), "  ", part.address), soft_wrap=True)
        rows = [row for result in of_part for row in _rows(result)]
        if console.is_terminal:
            console.print(_table(rows))
        else:
            for cells in rows:
                click.echo(
                    "  ".join(f"{cell.plain:{w}}" for cell, w in zip(cells, WIDTHS, strict=True))
                )
    count = _count(results)
    totals = [f"{verdict}: {count[verdict]}" for verdict in Verdict if count[verdict]]
    console.print(", ".join(totals), highlight=False)


def _rows(result: CheckResult) -> Iterator[tuple[Text, Text, Text]]:
    finding = result.finding
    yield (
        Text(finding.verdict, COLORS[finding.verdict]),
        Text(result.check),
        Text(finding.found),
    )
    if finding.fix:
        yield Text(), Text("fix", "dim", justify="right"), Text(finding.fix, "dim")
    if finding.verdict is not Verdict.OK:
        yield Text(), Text("see", "dim", justify="right"), Text(result.page, "dim")


def _table(rows: list[tuple[Text, Text, Text]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for width in WIDTHS:
        table.add_column(min_width=width)
    for cells in rows:
        table.add_row(*cells)
    return table


def _count(results: Sequence[CheckResult]) -> Counter[Verdict]:
    return Counter(result.finding.verdict for result in results)
