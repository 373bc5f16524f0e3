"""Figures as a table, as JSON and as plots."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- figures: written by `settle bench --write` -->", "<!-- end of figures -->"

# What is compared with what, and what is asked of it.
TARGETS = (
    ("Settle", "celery-batches", 15),
    ("Settle", "one task per update", 20),
    ("Settle", "bare loop, no Celery", 1),
    ("Settle, 0.5 ms away", "celery-batches, 0.5 ms away", 50),
    ("Settle, bulk of 1,000", "PostgreSQL alone, one connection", 0.7),
    ("Settle, two workers", "Settle", 1),
    ("Settle, Celery events on", "Settle", 0.7),
    ("Settle, Flower watching", "Settle", 0.7),
    ("sending: Settle's producer", "sending: send_task", 15),
)


def as_table(results: dict[str, Any]) -> str:
    """Write rates, ratios and latencies as Markdown."""
    rates = results["rates"]
    lines = ["| what | a second, median | lowest to highest | runs |", "|---|--:|--:|--:|"]
    lines += [
        f"| {name} | {statistics.median(r):,.0f} | {min(r):,.0f} to {max(r):,.0f} | {len(r)} |"
        for name, r in rates.items()
    ]
    ratios = [t for t in TARGETS if t[0] in rates and t[1] in rates]
    if ratios:
        lines += [
            "",
            "| compared | times, median of rounds | lowest to highest | target |",
            "|---|--:|--:|--:|",
        ]
        for name, other, target in ratios:
            each = [a / b for a, b in zip(rates[name], rates[other], strict=True)]
            median = statistics.median(each)
            lines.append(
                f"| {name} ÷ {other} | {median:.2f} | {min(each):.2f} to {max(each):.2f} "
                f"| {target} {'met' if median >= target else '**not met**'} |"
            )
    if "latency" in results:
        lines += ["", "| from publishing to the outcome | p50 | p90 | p99 | longest | updates |"]
        lines.append("|---|--:|--:|--:|--:|--:|")
        for name, seconds in results["latency"].items():
            cuts = statistics.quantiles(seconds, n=100)
            shown = (cuts[49], cuts[89], cuts[98], max(seconds))
            figures = " | ".join(f"{s * 1000:.1f} ms" for s in shown)
            lines.append(f"| {name} | {figures} | {len(seconds):,} |")
    if "growth" in results:
        lines += ["", "| grows | size | microseconds an update, median | lowest to highest | p99 |"]
        lines.append("|---|--:|--:|--:|--:|")
        for kind, points in results["growth"].items():
            for size, point in points.items():
                each = [1e6 / rate for rate in point["rates"]]
                p99 = point.get("p99_milliseconds")
                lines.append(
                    f"| {kind} | {int(size):,} | {statistics.median(each):.1f} "
                    f"| {min(each):.1f} to {max(each):.1f} | {f'{p99:.1f} ms' if p99 else ''} |"
                )
    machine = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    return "\n".join([*lines, "", f"On: {machine}."])


def write(results: dict[str, Any]) -> None:
    """Put the figures into the documentation."""
    page = DOCS / "benchmarks.md"
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{as_table(results)}\n\n{END}{after}")
    kept = {**results}
    if "latency" in results:
        kept["latency"] = {
            name: [round(cut * 1000, 2) for cut in statistics.quantiles(seconds, n=100)]
            for name, seconds in results["latency"].items()
        }
    (DOCS / "benchmarks.json").write_text(json.dumps(kept, indent=1) + "\n")
    from bench.plots import draw  # noqa: PLC0415 - matplotlib need not be there

    draw(kept, DOCS)
