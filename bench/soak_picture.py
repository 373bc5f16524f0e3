"""What `bench.soak` has seen, drawn over time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.soak_samples import Sample

COLOUR = "#2a6f97"
PANELS: tuple[tuple[str, Callable[[Sample], float]], ...] = (
    ("dead rows, millions", lambda sample: sample.dead / 1e6),
    ("table, GB", lambda sample: sample.table_mb / 1e3),
    ("memory of the worker, MB", lambda sample: sample.worker_mb),
    ("memory of PostgreSQL, MB", lambda sample: sample.postgres_mb),
    ("memory of Redis, MB", lambda sample: sample.redis_mb),
    ("open files of the worker", lambda sample: sample.files),
    ("connections to PostgreSQL", lambda sample: sample.connections),
)


def draw(samples: Sequence[Sample], path: Path) -> None:
    """Write an SVG of all that may grow, and the rate; the held snapshot is shaded."""
    import matplotlib as mpl  # noqa: PLC0415 - only drawing needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams.update({"svg.hashsalt": "settle", "svg.fonttype": "none", "font.size": 9})
    figure = Figure(figsize=(13, 5))
    first, *others = figure.subplots(2, 4, sharex=True).flat
    _rate(first, samples)
    minutes = [sample.seconds / 60 for sample in samples]
    for axes, (label, value) in zip(others, PANELS, strict=True):
        axes.plot(minutes, [value(sample) for sample in samples], color=COLOUR)
        _finish(axes, label, samples)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


def _rate(axes: Any, samples: Sequence[Sample]) -> None:
    each = [
        (after.seconds / 60, (after.outcomes - one.outcomes) / (after.seconds - one.seconds))
        for one, after in pairwise(samples)
    ]
    axes.plot([minute for minute, _ in each], [rate for _, rate in each], color=COLOUR)
    _finish(axes, "updates a second", samples)


def _finish(axes: Any, label: str, samples: Sequence[Sample]) -> None:
    held = [sample.seconds / 60 for sample in samples if sample.is_held]
    axes.axvspan(held[0], held[-1], color="0.9")
    axes.set_ylim(bottom=0)
    axes.set_ylabel(label)
    axes.set_xlabel("minutes; shaded: an old snapshot is held")
    axes.grid(visible=True, alpha=0.3)
