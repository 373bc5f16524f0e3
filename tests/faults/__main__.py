"""The long form of the storms: `uv run python -m tests.faults`.

Prints a table: failure, how often, messages, updates lost, answers that were
wrong, seconds until outcomes came again. `--worker` lets what people use today
weather the same storms. With `--write` the results replace the older ones of the
same storm and worker in docs/storms.json, from which the table in
docs/guarantees.md is made.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.faults.contenders import CONTENDERS, SETTLE
from tests.faults.rig import durable_servers, rig
from tests.faults.storms import (
    STORMS,
    STORMS_BEHIND_SENTINELS,
    STORMS_OF_FAILOVERS,
    STORMS_ON_A_CLUSTER,
    STORMS_ON_RABBITMQ,
    Storm,
    Weathered,
    weather,
)
from tests.rabbitmq import RabbitMQ
from tests.rabbitmq_cluster import NODES, Cluster

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parents[2] / "docs"
RESULTS, PAGE = DOCS / "storms.json", DOCS / "guarantees.md"
BEGIN, END = "<!-- storms: begin -->\n", "<!-- storms: end -->\n"
HEAD = """\
| failure | times | worker | messages | lost | wrong | stuck | recovery, median / longest |
|---|--:|---|--:|--:|--:|--:|--:|
"""
# By how many nodes of RabbitMQ a storm wants.
BROKERS: dict[int, Callable[[Path], RabbitMQ | Cluster | None]] = {
    0: lambda _: None,
    1: RabbitMQ,
    NODES: Cluster,
}
ALL = (
    *STORMS,
    *STORMS_OF_FAILOVERS,
    *STORMS_BEHIND_SENTINELS,
    *STORMS_ON_RABBITMQ,
    *STORMS_ON_A_CLUSTER,
)


def figures(result: Weathered) -> dict[str, Any]:
    """Return what is kept of a result."""
    return {
        "failure": result.storm.name,
        "times": result.times,
        "worker": result.contender,
        "messages": result.messages,
        "lost": result.lost,
        "wrong": result.wrong,
        "stuck": result.stuck,
        "medianSeconds": round(statistics.median(result.recovery_seconds), 2),
        "longestSeconds": round(max(result.recovery_seconds), 2),
        "date": time.strftime("%Y-%m-%d"),
    }


def row(result: dict[str, Any]) -> str:
    """Return a line of the table."""
    return (
        f"| {result['failure']} | {result['times']} | {result['worker']} "
        f"| {result['messages']:,} | {result['lost']:,} | {result['wrong']:,} | {result['stuck']} "
        f"| {result['medianSeconds']:.1f} s / {result['longestSeconds']:.1f} s |\n"
    )


def write(results: list[dict[str, Any]]) -> None:
    """Keep results, and make the table in the page anew."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    by_name = {(one["failure"], one["worker"]): one for one in (*known, *results)}
    kept = [
        by_name[storm.name, contender.name]
        for storm in ALL
        for contender in CONTENDERS
        if (storm.name, contender.name) in by_name
    ]
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{HEAD}{''.join(map(row, kept))}{END}{after}")


@click.command()
@click.option(
    "--worker",
    "names",
    multiple=True,
    type=click.Choice([contender.name for contender in CONTENDERS]),
    default=[SETTLE.name],
    show_default=True,
)
@click.option("--only", multiple=True, help="Only storms whose name contains this.")
@click.option("--part", default=1.0, show_default=True, help="Strike this part of the times.")
@click.option("--per-second", default=200, show_default=True, help="Messages sent.")
@click.option("--write", "as_docs", is_flag=True, help="Write docs/storms.json and the page.")
def main(
    *, names: tuple[str, ...], only: tuple[str, ...], part: float, per_second: int, as_docs: bool
) -> None:
    """Break things under load, many times, and account for everything."""
    console = Console(stderr=True)
    results = []
    click.echo(HEAD, nl=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        for storm in ALL:
            if only and not any(text in storm.name for text in only):
                continue
            for name in names:
                if storm.nodes and name != SETTLE.name:
                    continue
                result = _weather(storm, name, part, per_second, progress)
                results.append(figures(result))
                click.echo(row(results[-1]), nl=False)
                for example in result.examples if name == SETTLE.name else ():
                    console.print(example, markup=False, style="red", soft_wrap=True)
                if as_docs:
                    write(results)
    sys.exit(any(one["lost"] or one["wrong"] for one in results if one["worker"] == SETTLE.name))


def _weather(
    storm: Storm, name: str, part: float, per_second: int, progress: Progress
) -> Weathered:
    contender = next(one for one in CONTENDERS if one.name == name)
    times = max(1, round(storm.times * part))
    task = progress.add_task(f"{storm.name}: {name}", total=times)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        node = BROKERS[storm.nodes](folder / "rabbitmq")
        if node is not None:
            stack.enter_context(node)
        servers = stack.enter_context(durable_servers())
        at = stack.enter_context(rig(servers, folder, contender, node))
        at.start_load(storm.events, per_second)
        result = weather(at, storm, times, lambda: progress.advance(task))
    progress.remove_task(task)
    return result


if __name__ == "__main__":
    main()
