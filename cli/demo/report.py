"""What the demo shows: while it runs, and at the end, for people and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from cli.demo.reconciliation import Reconciliation
    from cli.demo.tally import Tally


WHY_THIS_RATE = (
    "The worker waited for a plain Celery producer, which sends one by one; the README's rate is "
    "that of a full queue (docs/benchmarks.md)."
)


def progress(tally: Tally, total: int) -> Table:
    """Draw how far the demo is."""
    table = Table.grid(padding=(0, 2))
    table.add_row("published", f"{tally.sent_updates:,} of {total:,} updates")
    table.add_row("settled", f"{len(tally.outcomes):,} events")
    table.add_row("outcomes", f"{tally.received:,}   {_reasons(tally)}")
    table.add_row("rate", f"{tally.per_second():,.0f} outcomes/s")
    table.add_row("batch size", _batch_size(tally))
    table.add_row("latency", _latency(tally))
    return table


def progress_line(tally: Tally, total: int) -> str:
    """Say how far the demo is in one line, where nothing can be drawn."""
    return (
        f"published {tally.sent_updates:,} of {total:,} updates, "
        f"{tally.received:,} outcomes, {tally.per_second():,.0f}/s, latency {_latency(tally)}"
    )


def final(tally: Tally, result: Reconciliation) -> Group:
    """Draw what came of it, and whether everything agrees."""
    counts = Table(title="Outcomes by reason")
    for column in ("reason", "expected", "received"):
        counts.add_column(column, justify="left" if column == "reason" else "right")
    for reason in sorted(result.expected | result.received):
        counts.add_row(reason, f"{result.expected[reason]:,}", f"{result.received[reason]:,}")
    counts.add_section()
    counts.add_row("all", f"{result.expected.total():,}", f"{result.received.total():,}")

    figures = Table.grid(padding=(0, 2))
    by_outcomes = f"{result.updated_outcomes:,} by the outcomes"
    figures.add_row("settled", f"{result.settled_rows:,} events by the table, {by_outcomes}")
    repeats = result.received["updated"] - result.updated_outcomes
    figures.add_row("", f"{repeats:,} of `updated` repeat an outcome, of what was sent twice")
    figures.add_row("throughput", f"{tally.per_second():,.0f} outcomes/s")
    figures.add_row("batch size", _batch_size(tally))
    figures.add_row("publish to outcome", _latency(tally))
    return Group(counts, figures, _verdict(result))


def as_dict(
    tally: Tally, result: Reconciliation, *, first_outcome_seconds: float
) -> dict[str, Any]:
    """Return the same for machines."""
    size = tally.batch_size()
    return {
        "agrees": result.agrees,
        "differences": result.differences,
        "expected": dict(result.expected),
        "received": dict(result.received),
        "settledRows": result.settled_rows,
        "updatedEvents": result.updated_outcomes,
        "outcomesPerSecond": round(tally.per_second(), 1),
        "firstOutcomeSeconds": round(first_outcome_seconds, 3),
        "batches": dict(tally.batches_left),
        "batchSize": dict(zip(("min", "mean", "max"), size, strict=True)) if size else None,
        "latencySeconds": {f"p{p}": tally.latency_seconds(p) for p in (50, 99)},
    }


def _verdict(result: Reconciliation) -> Text:
    if result.agrees:
        return Text("Everything agrees.", style="bold green")
    return Text("\n".join(["It does not agree:", *result.differences]), style="bold red")


def _reasons(tally: Tally) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(tally.reasons.items()))


def _batch_size(tally: Tally) -> str:
    size = tally.batch_size()
    if size is None:
        return "-"
    left = ", ".join(f"{count:,} by {why}" for why, count in tally.batches_left.most_common())
    return f"{size[0]:,} to {size[2]:,} updates, mean {size[1]:,.0f}; batches left: {left}"


def _latency(tally: Tally) -> str:
    p50, p99 = tally.latency_seconds(50), tally.latency_seconds(99)
    if p50 is None or p99 is None:
        return "-"
    return f"p50 {p50 * 1000:,.0f} ms, p99 {p99 * 1000:,.0f} ms"
