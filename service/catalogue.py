"""A list of metrics: each with its name, its labels and their values, and what it says.

Series exist from the start, so that an increase from nothing is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

KINDS: Final = (Counter, Gauge, Histogram)
# What both doors count by, and in which steps.
OUTCOMES: Final = (
    *("updated", "already_completed", "already_failed", "not_found"),
    *("refused", "invalid"),
)
BUCKETS_OF_UPDATES: Final = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(1_000, 2_000, 5_000, 10_000, 100_000),
)
BUCKETS_OF_SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1, 2.5, 5, 10, 30, 60),
)
Kind = TypeVar("Kind", bound=MetricWrapperBase)


@dataclass(frozen=True, slots=True)
class Metric:
    """What the list says of a metric.

    Attributes:
        name: As it is exposed; of a histogram without its suffixes.
        kind: Counter, gauge or histogram.
        labels: The values that each label may have.
        says: What it means, and when it is written.
    """

    name: str
    kind: str
    labels: dict[str, tuple[str, ...]]
    says: str

    @property
    def series(self) -> tuple[str, ...]:
        """Return the names that queries use."""
        if self.kind != "histogram":
            return (self.name,)
        return tuple(f"{self.name}_{suffix}" for suffix in ("bucket", "count", "sum"))


class Catalogue(list[Metric]):
    """The metrics of one kind of process, and those of the process itself."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def counter(self, name: str, says: str, **labels: tuple[str, ...]) -> Counter:
        """Add a counter."""
        return self._add(Counter, name, says, labels)

    def gauge(self, name: str, says: str, **labels: tuple[str, ...]) -> Gauge:
        """Add a gauge."""
        return self._add(Gauge, name, says, labels)

    def histogram(
        self, name: str, says: str, buckets: tuple[float, ...], **labels: tuple[str, ...]
    ) -> Histogram:
        """Add a histogram."""
        return self._add(Histogram, name, says, labels, buckets=buckets)

    def table(self) -> str:
        """Write the list as a table in Markdown."""
        rows = [f"| `{each.name}` | {each.kind} | {_labels(each)} | {each.says} |" for each in self]
        return "\n".join([_TABLE_HEAD, *rows])

    def _add(
        self,
        kind: type[Kind],
        name: str,
        says: str,
        labels: dict[str, tuple[str, ...]],
        **options: Any,
    ) -> Kind:
        self.append(Metric(name, kind.__name__.lower(), labels, says))
        made = kind(name, says, list(labels), registry=self.registry, **options)
        if labels:
            for values in product(*labels.values()):
                made.labels(*values)
        return made


def _labels(metric: Metric) -> str:
    return "; ".join(
        f"`{label}`: {', '.join(f'`{value}`' for value in values)}"
        for label, values in metric.labels.items()
    )


_TABLE_HEAD = """\
| metric | kind | labels | meaning |
|---|---|---|---|"""
