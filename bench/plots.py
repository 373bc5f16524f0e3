"""The figures, drawn."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from bench.http_report import GATEWAY, ONE_COMMIT, TUTORIAL

if TYPE_CHECKING:
    from pathlib import Path

OURS, THEIRS = "#2a6f97", "#b0b0b0"
HTTP_LINES = ((GATEWAY, OURS, "o-"), (TUTORIAL, "0.5", "s-"), (ONE_COMMIT, "0.5", "^--"))


def draw(results: dict[str, Any], folder: Path) -> None:
    """Write one SVG a figure into a folder, `benchmarks-….svg`."""
    import matplotlib as mpl  # noqa: PLC0415 - only drawing needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    # The same figures make the same file, and text stays text.
    mpl.rcParams.update({"svg.hashsalt": "settle", "svg.fonttype": "none", "font.size": 9})

    def save(figure: Any, name: str) -> None:
        figure.savefig(
            folder / f"benchmarks-{name}.svg", metadata={"Date": None}, bbox_inches="tight"
        )

    drawings = {
        "throughput": _throughput,
        "latency": _latency,
        "growth": _growth,
        "http": _http,
    }
    for name, drawing in drawings.items():
        figure = Figure(figsize=(7.5, 3.2))
        if drawing(figure, results):
            save(figure, name)


def _throughput(figure: Any, results: dict[str, Any]) -> bool:
    rates = results.get("rates", {})
    # Not what is another thing than settling updates.
    others = ("sending", "RabbitMQ alone")
    shown = {name: r for name, r in rates.items() if not name.startswith(others)}
    if not shown:
        return False
    figure.set_size_inches(7.5, 0.35 * len(shown) + 0.8)
    axes = figure.add_subplot()
    names = list(reversed(shown))
    medians = [statistics.median(shown[name]) for name in names]
    spread = [
        [median - min(shown[name]) for name, median in zip(names, medians, strict=True)],
        [max(shown[name]) - median for name, median in zip(names, medians, strict=True)],
    ]
    longest = max(max(each) for each in shown.values())
    colours = [OURS if name.startswith("Settle") else THEIRS for name in names]
    axes.barh(names, medians, xerr=spread, color=colours, ecolor="black", capsize=2)
    for position, median in enumerate(medians):
        axes.annotate(f" {median:,.0f}", (longest * 1.02, position), va="center")
    axes.set_xlabel("updates a second: median, lowest and highest of the rounds")
    axes.set_xlim(0, longest * 1.2)
    return True


def _latency(figure: Any, results: dict[str, Any]) -> bool:
    if "latency" not in results:
        return False
    axes = figure.add_subplot()
    for name, milliseconds in results["latency"].items():
        axes.plot(milliseconds, range(1, 100), label=name)
    axes.set_xscale("log")
    axes.set_xlabel("from publishing to the outcome, milliseconds")
    axes.set_ylabel("per cent of updates")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    return True


def _growth(figure: Any, results: dict[str, Any]) -> bool:
    growth = results.get("growth")
    if not growth:
        return False
    figure.set_size_inches(10, 3.2)
    panels = figure.subplots(1, len(growth))
    for axes, (name, points) in zip(panels, growth.items(), strict=True):
        sizes = [int(size) for size in points]
        medians = [statistics.median(1e6 / rate for rate in p["rates"]) for p in points.values()]
        axes.plot(sizes, medians, "o-", color=OURS)
        axes.set_xscale("log")
        axes.set_ylim(0, max(medians) * 1.3)
        axes.set_xlabel(name)
        axes.set_ylabel("microseconds an update")
        if all("p99_milliseconds" in point for point in points.values()):
            right = axes.twinx()
            right.plot(sizes, [p["p99_milliseconds"] for p in points.values()], "s--", color="0.5")
            right.set_ylim(bottom=0)
            right.set_ylabel("p99 at half of the rate, ms (dashed)")
    figure.tight_layout()
    return True


def _http(figure: Any, results: dict[str, Any]) -> bool:
    if "http" not in results:
        return False
    cells = results["http"]["cells"]
    figure.set_size_inches(10, 3 * len(cells))
    rows = figure.subplots(len(cells), 2, squeeze=False)
    for (rate, latency), (connections, sizes) in zip(rows, cells.items(), strict=True):
        several = f"{connections} connection{'s' if int(connections) > 1 else ''}"
        _by_size(rate, sizes, "per_second", f"events a second, {several}")
        _by_size(latency, sizes, "p99_milliseconds", f"p99 of requests, ms, {several}")
    rows[0][1].legend(loc="upper left")
    figure.tight_layout()
    return True


def _by_size(axes: Any, sizes: dict[str, Any], figure: str, label: str) -> None:
    for name, colour, style in HTTP_LINES:
        each = [(int(size), cell[name][figure]) for size, cell in sizes.items() if name in cell]
        medians = [statistics.median(rounds) for _, rounds in each]
        spread = [
            [m - min(rounds) for m, (_, rounds) in zip(medians, each, strict=True)],
            [max(rounds) - m for m, (_, rounds) in zip(medians, each, strict=True)],
        ]
        axes.errorbar(
            [size for size, _ in each],
            medians,
            yerr=spread,
            fmt=style,
            color=colour,
            capsize=2,
            label=name,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("updates in a request")
    axes.set_ylabel(label)
    axes.grid(visible=True, alpha=0.3)
