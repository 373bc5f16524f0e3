"""What was measured over HTTP, as a table, with what is asked of it."""

from __future__ import annotations

import statistics
from typing import Any

from bench.comparing import ratios, verdict

GATEWAY = "Settle"
UNSHARED = "Settle, each request by itself"
TUTORIAL = "tutorial, a commit per event"
ONE_COMMIT = "tutorial, a commit per request"
NOTHING = "nothing behind it"

# What is compared with what, and how many times as many it has to be, by updates in a
# request. That the load client alone does many more shows that it is not what limits.
COMPARISONS: tuple[tuple[str, str, dict[str, float]], ...] = (
    (GATEWAY, TUTORIAL, {"1": 1, "1000": 10}),
    (GATEWAY, ONE_COMMIT, {}),
    (GATEWAY, UNSHARED, {}),
    (NOTHING, GATEWAY, {"1": 3, "10": 3, "100": 3, "1000": 3}),
)

MEASURED = ("what", "events a second, median", "lowest to highest", "p50", "p99", "requests")
COMPARED = ("compared", "times, median of rounds", "lowest to highest", "target")


def as_table(http: dict[str, Any]) -> str:
    """Write rates, latencies and ratios as Markdown."""
    lines = _head(MEASURED)
    for connections, size, cell in _cells(http):
        lines += [
            f"| {connections} | {int(size):,} | {name} | {_figures(figures)} |"
            for name, figures in cell.items()
        ]
    lines += ["", *_head(COMPARED)]
    for connections, size, cell in _cells(http):
        lines += [
            f"| {connections} | {int(size):,} | {name} ÷ {other} "
            f"| {_ratio(cell[name], cell[other], targets.get(size))} |"
            for name, other, targets in COMPARISONS
            if name in cell and other in cell
        ]
    return "\n".join(lines)


def _head(columns: tuple[str, ...]) -> list[str]:
    names = ("connections", "updates in a request", *columns)
    lines = ("--:", "--:", "---", *["--:"] * (len(columns) - 1))
    return [f"| {' | '.join(names)} |", f"|{'|'.join(lines)}|"]


def _cells(http: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (connections, size, cell)
        for connections, sizes in http["cells"].items()
        for size, cell in sizes.items()
    ]


def _figures(figures: dict[str, list[float]]) -> str:
    rates = figures["per_second"]
    p50, p99 = (
        f"{statistics.median(figures[f'{name}_milliseconds']):,.1f} ms" for name in ("p50", "p99")
    )
    return (
        f"{statistics.median(rates):,.0f} | {min(rates):,.0f} to {max(rates):,.0f} "
        f"| {p50} | {p99} | {sum(figures['requests']):,.0f}"
    )


def _ratio(one: dict[str, list[float]], other: dict[str, list[float]], target: float | None) -> str:
    each = ratios(one["per_second"], other["per_second"])
    median = statistics.median(each)
    against_target = "" if target is None else f"{target} {verdict(median >= target)}"
    return f"{median:.1f} | {min(each):.1f} to {max(each):.1f} | {against_target}"
