"""Figures as a table, as JSON and as plots."""

from __future__ import annotations

import json
import statistics
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import http_report
from bench.comparing import ratios, verdict
from bench.measuring import LISTENING, SENDING

if TYPE_CHECKING:
    from collections.abc import Iterable

DOCS = Path(__file__).parent.parent / "docs"
# Between which lines each comparison's figures stand.
PLACES = {
    "queue": ("<!-- figures: written by `settle bench --write` -->", "<!-- end of figures -->"),
    "http": (
        "<!-- figures: written by `settle bench --http --write` -->",
        "<!-- end of figures over HTTP -->",
    ),
}

LATENCIES = ("p50", "p90", "p99", "p99, lowest to highest", "longest", "updates a round")
# What RabbitMQ itself can do.
COUNTING = "RabbitMQ alone, a consumer that only counts"
# What is compared with what, and what is asked of it, if anything is.
TARGETS: tuple[tuple[str, str, float | None], ...] = (
    ("Settle", "celery-batches", 15),
    ("Settle", "one task per update", 20),
    ("Settle", "Graphile Worker", None),
    ("Settle", "Graphile Worker, gathered", None),
    ("Settle, bulk of 1,000", "Graphile Worker, bulk of 1,000", None),
    ("Settle", "bare loop, no Celery", 1),
    ("Settle, 0.5 ms away", "celery-batches, 0.5 ms away", 50),
    ("Settle, bulk of 1,000", "PostgreSQL alone, one connection", 0.7),
    ("Settle, two workers", "Settle", 1),
    ("Settle, Celery events on", "Settle", 0.85),
    ("Settle, Flower watching", "Settle", 0.7),
    ("Settle, RabbitMQ", "Settle", 0.7),
    ("Settle, RabbitMQ", "celery-batches, RabbitMQ", 15),
    ("Settle, RabbitMQ", "one task per update, RabbitMQ", 20),
    ("Settle, RabbitMQ", COUNTING, None),
    ("sending: Settle's producer", "sending: send_task", 15),
)

# What of the machine is accounted for.
PARTS = ("worker", "PostgreSQL", "Redis", "RabbitMQ", "Flower", SENDING, LISTENING)
# Milliseconds within which half, and 99 of a hundred, outcomes are to come.
LATENCY_TARGETS = (("one by one", 5.0, 30.0), ("at half of the highest rate", 100.0, 100.0))
# By how much an update may cost more, or less, when there is a hundred times as much.
FLAT = 0.2
HAS_TO_BE_FLAT = ("messages in the queue", "rows in the table")


def as_table(results: dict[str, Any]) -> str:
    """Write what was measured as Markdown."""
    lines = [http_report.as_table(results["http"])] if "http" in results else _rates(results)
    machine = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    return "\n".join([*lines, "", f"On: {machine}."])


def _rates(results: dict[str, Any]) -> list[str]:
    rates = results["rates"]
    lines = ["| what | a second, median | lowest to highest | runs |", "|---|--:|--:|--:|"]
    lines += [
        f"| {name} | {statistics.median(r):,.0f} | {min(r):,.0f} to {max(r):,.0f} | {len(r)} |"
        for name, r in rates.items()
    ]
    compared = [t for t in TARGETS if t[0] in rates and t[1] in rates]
    if compared:
        lines += [
            "",
            "| compared | times, median of rounds | lowest to highest | target |",
            "|---|--:|--:|--:|",
        ]
        for name, other, target in compared:
            each = ratios(rates[name], rates[other])
            median = statistics.median(each)
            lines.append(
                f"| {name} ÷ {other} | {median:.2f} | {min(each):.2f} to {max(each):.2f} "
                f"| {'' if target is None else f'{target} {verdict(median >= target)}'} |"
            )
    lines += _costs(results.get("costs") or {})
    for what, verb in (("failed", "has failed"), ("left_out", "was left out")):
        lines += [f"\n{name} {verb}: {why}." for name, why in results.get(what, {}).items()]
    if results.get("latency"):
        lines += _latencies(results["latency"])
    if "growth" in results:
        lines += _growth(results["growth"])
    return lines


def _costs(costs: dict[str, list[dict[str, float]]]) -> list[str]:
    if not costs:
        return []
    lines = [
        "",
        f"| processor microseconds an update, median | {' | '.join(PARTS)} | all |",
        "|---|" + "--:|" * (len(PARTS) + 1),
    ]
    for name, runs in costs.items():
        medians = {
            part: statistics.median(run[part] for run in runs)
            for part in PARTS
            if all(part in run for run in runs)
        }
        cells = [f"{medians[part]:,.1f}" if part in medians else "" for part in PARTS]
        lines.append(f"| {name} | {' | '.join(cells)} | {sum(medians.values()):,.1f} |")
    return lines


def _latencies(latency: dict[str, list[list[float]]]) -> list[str]:
    columns = " | ".join(LATENCIES)
    lines = [
        "",
        f"| from publishing to the outcome, ms, median of rounds | {columns} | target |",
        "|---|" + "--:|" * (len(LATENCIES) + 1),
    ]
    for name, rounds in latency.items():
        cuts = [quantiles_in_milliseconds(seconds) for seconds in rounds]
        p50, p90, p99 = (statistics.median(cut[at] for cut in cuts) for at in (49, 89, 98))
        slowest = [cut[98] for cut in cuts]
        longest = max(map(max, rounds)) * 1000
        _, half, most = next(target for target in LATENCY_TARGETS if name.startswith(target[0]))
        met = verdict(p50 <= half and p99 <= most)
        lines.append(
            f"| {name} | {p50:.1f} | {p90:.1f} | {p99:.1f} "
            f"| {min(slowest):.1f} to {max(slowest):.1f} | {longest:.1f} | {len(rounds[0]):,} "
            f"| p50 ≤ {half:g}, p99 ≤ {most:g} {met} |"
        )
    return lines


def quantiles_in_milliseconds(seconds: Iterable[float]) -> list[float]:
    """Return below which each hundredth of some times is, in milliseconds."""
    return [cut * 1000 for cut in statistics.quantiles(seconds, n=100)]


def _growth(growth: dict[str, Any]) -> list[str]:
    lines = [
        "",
        "| grows | size | microseconds an update, median | lowest to highest | p99 | target |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for kind, points in growth.items():
        first = 0.0
        for size, point in points.items():
            each = [1e6 / rate for rate in point["rates"]]
            median = statistics.median(each)
            first = first or median
            flat = verdict(abs(median / first - 1) <= FLAT) if kind in HAS_TO_BE_FLAT else ""
            target = f"± {FLAT:.0%} of the first {flat}" if flat else ""
            p99 = point.get("p99_milliseconds")
            lines.append(
                f"| {kind} | {int(size):,} | {median:.1f} | {min(each):.1f} to {max(each):.1f} "
                f"| {f'{p99:.1f} ms' if p99 else ''} | {target} |"
            )
    return lines


def write(results: dict[str, Any]) -> None:
    """Put the figures into the documentation, and leave those of the other comparison."""
    page, figures = DOCS / "benchmarks.md", DOCS / "benchmarks.json"
    page.write_text(put_into(page.read_text(), results))
    kept = merge(json.loads(figures.read_text()), results)
    figures.write_text(json.dumps(kept, indent=1) + "\n")
    from bench.plots import draw  # noqa: PLC0415 - matplotlib need not be there

    draw(kept, DOCS)


def put_into(page: str, results: dict[str, Any]) -> str:
    """Return a page with the figures where they belong.

    Raises:
        ValueError: The page has no such place.
    """
    begin, end = PLACES["http" if "http" in results else "queue"]
    before, found, rest = page.partition(begin)
    _, also_found, after = rest.partition(end)
    if not (found and also_found):
        raise ValueError(f"the page has no place between {begin} and {end}")
    return f"{before}{begin}\n\n{as_table(results)}\n\n{end}{after}"


def merge(before: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of all comparisons after one of them has run again."""
    if "http" in results:
        return {**before, "http": {"machine": results["machine"], **results["http"]}}
    kept = {**results}
    if "latency" in results:
        kept["latency"] = {
            name: [round(cut, 2) for cut in quantiles_in_milliseconds(chain(*rounds))]
            for name, rounds in results["latency"].items()
        }
    if "http" in before:
        kept["http"] = before["http"]
    return kept
