"""The long form of the storms: `uv run python -m tests.faults`.

Prints a table: failure, how often, messages, updates lost, answers that were
wrong, seconds until outcomes came again. With `--write` the table replaces the
one in docs/guarantees.md. Settle goes first; `--peers` lets what people use
today weather the same storms beside it.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.faults.contenders import CONTENDERS, SETTLE
from tests.faults.rig import rig
from tests.faults.storms import STORMS, Weathered, weather

PAGE = Path(__file__).parents[2] / "docs/guarantees.md"
BEGIN, END = "<!-- storms: begin -->\n", "<!-- storms: end -->\n"
HEAD = (
    "| failure | times | worker | messages | lost | wrong | stuck | recovery, median / longest |\n"
    "|---|--:|---|--:|--:|--:|--:|--:|\n"
)
EVENTS = 400_000


def row(result: Weathered) -> str:
    """Return a line of the table."""
    seconds = result.recovery_seconds
    return (
        f"| {result.storm.name} | {result.times} | {result.contender} | {result.messages:,} "
        f"| {result.lost:,} | {result.wrong:,} | {result.stuck} "
        f"| {statistics.median(seconds):.1f} s / {max(seconds):.1f} s |\n"
    )


def write(rows: list[str], command: str) -> None:
    """Put the table into the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    note = (
        f"\nPrinted by `{command}` on {time.strftime('%Y-%m-%d')}, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}.\n\n"
    )
    PAGE.write_text(f"{before}{BEGIN}{note}{HEAD}{''.join(rows)}\n{END}{after}")


@click.command()
@click.option("--only", multiple=True, help="Only storms whose name contains this.")
@click.option("--peers", is_flag=True, help="Let the peers weather the same storms.")
@click.option("--part", default=1.0, show_default=True, help="Strike this part of the times.")
@click.option("--per-second", default=200, show_default=True, help="Messages sent.")
@click.option("--write", "as_page", is_flag=True, help="Write docs/guarantees.md.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def main(
    *,
    only: tuple[str, ...],
    peers: bool,
    part: float,
    per_second: int,
    as_page: bool,
    as_json: bool,
) -> None:
    """Break things under load, many times, and account for everything."""
    storms = [storm for storm in STORMS if not only or any(text in storm.name for text in only)]
    contenders = CONTENDERS if peers else (SETTLE,)
    console = Console(stderr=True)
    rows, results = [], []
    if not as_json:
        click.echo(HEAD, nl=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        for storm in storms:
            times = max(1, round(storm.times * part))
            for contender in contenders:
                task = progress.add_task(f"{storm.name}: {contender.name}", total=times)
                with tempfile.TemporaryDirectory() as folder, rig(Path(folder), contender) as at:
                    at.start_load(EVENTS, per_second)
                    result = weather(at, storm, times, lambda t=task: progress.advance(t))  # type: ignore[misc]
                progress.remove_task(task)
                results.append(result)
                rows.append(row(result))
                if as_json:
                    click.echo(json.dumps({**vars(result), "storm": storm.name}))
                else:
                    click.echo(rows[-1], nl=False)
                for example in result.examples:
                    console.print(escape(example), style="red", soft_wrap=True)
    if as_page:
        write(rows, f"uv run python -m tests.faults {' '.join(sys.argv[1:])}")
    ours = [result for result in results if result.contender == SETTLE.name]
    sys.exit(any(result.lost or result.wrong for result in ours))


if __name__ == "__main__":
    main()
