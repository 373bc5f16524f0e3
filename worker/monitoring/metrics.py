"""Every metric there is, in one list: its name, its labels and their values, what it says.

They are about one worker and are observed in its main process, where slots
report to, whatever the pool. Each is written by one module. Series exist from
the start, so that an increase from nothing is one. Where they can be had is
`worker.monitoring.exposition`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

PATHS: Final = ("plain", "other")
OUTCOMES: Final = ("updated", "already_completed", "already_failed", "not_found", "invalid")
WHYS: Final = ("size", "slot", "age", "stop")
STEPS: Final = ("waiting", "applying", "publishing", "acknowledging")

_UPDATES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000)
_STEP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LATENCY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600)


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


CATALOGUE: Final[list[Metric]] = []
KINDS: Final = (Counter, Gauge, Histogram)
Kind = TypeVar("Kind", bound=MetricWrapperBase)


def _metric(
    kind: type[Kind], name: str, says: str, *, labels: dict[str, tuple[str, ...]], **options: Any
) -> Kind:
    CATALOGUE.append(Metric(name, kind.__name__.lower(), labels, says))
    made = kind(name, says, list(labels), registry=REGISTRY, **options)
    for label, values in labels.items():
        for value in values:
            made.labels(**{label: value})
    return made


def _counter(name: str, says: str, **labels: tuple[str, ...]) -> Counter:
    return _metric(Counter, name, says, labels=labels)


def _gauge(name: str, says: str, **labels: tuple[str, ...]) -> Gauge:
    return _metric(Gauge, name, says, labels=labels)


# -- written by worker.monitoring.measuring, when a batch is fetched, tried or settled ----------

MESSAGES = _counter(
    "settle_messages_fetched_total",
    "Messages fetched: `plain` ones are read straight from the queue of Redis, "
    "`other` ones by way of kombu and Celery, which costs several times as much.",
    path=PATHS,
)
UPDATES = _counter(
    "settle_updates_total",
    "Updates settled, by outcome: it is published, and the message acknowledged.",
    outcome=OUTCOMES,
)
DEAD_LETTERS = _counter(
    "settle_dead_letters_total",
    "Updates and messages set aside as dead letters.",
)
BATCHES = _counter(
    "settle_batches_total",
    "Batches settled, by why they left: full, a slot was free, of age, or the worker stopped.",
    why=WHYS,
)
BATCH_UPDATES = _metric(
    Histogram, "settle_batch_updates", "Updates in a settled batch.", labels={}, buckets=_UPDATES
)
STEP_SECONDS = _metric(
    Histogram,
    "settle_batch_step_seconds",
    "Seconds of a settled batch, by step; of the try that succeeded.",
    labels={"step": STEPS},
    buckets=_STEP_SECONDS,
)
LATENCY_SECONDS = _metric(
    Histogram,
    "settle_latency_seconds",
    "Seconds from sending a message to its published outcomes: of one message a batch, the one "
    "that waited longest, if it has the header `sent_at` and was not delayed by its sender. "
    "As good as the clocks of both machines agree.",
    labels={},
    buckets=_LATENCY_SECONDS,
)
BATCHES_RETRIED = _counter(
    "settle_batches_retried_total",
    "Tries of a batch that failed and are repeated in its slot, because a server is away.",
)
BATCHES_GIVEN_BACK = _counter(
    "settle_batches_given_back_total",
    "Batches that went back to the queue: an error to see to, a stop, or a slot that was lost.",
)
BREAKER_TRIPS = _counter(
    "settle_breaker_trips_total",
    "Times that consuming stopped because too many messages were not valid.",
)

# -- written by worker.transport.leases ----------------------------------------------

MESSAGES_RESTORED = _counter(
    "settle_messages_restored_total",
    "Messages of workers that went away, put back into the queue by this one. Redis only.",
)
LEASES_RENEWED = _counter(
    "settle_leases_renewed_total",
    "Leases of held messages renewed. Redis only.",
)

# -- written by worker.monitoring.gauges: looked up when somebody asks ----------------------

HELD_MESSAGES = _gauge(
    "settle_held_messages",
    "Messages held, by where they are.",
    where=("waiting", "slots"),
)
HELD_UPDATES = _gauge(
    "settle_held_updates",
    "Updates held, by where they are.",
    where=("waiting", "slots"),
)
SLOTS = _gauge("settle_slots", "Batches that can be applied at once.")
SLOTS_TAKEN = _gauge(
    "settle_slots_taken",
    "Slots that have a batch, be it applied or held until a server is back.",
)
LIVE = _gauge("settle_live", "1 if the worker is not stuck, else 0; as `/livez` says.")
READY = _gauge("settle_ready", "1 if the worker settles updates, else 0; as `/readyz` says.")
BREAKER_TRIPPED = _gauge(
    "settle_breaker_tripped",
    "1 while nothing is consumed because too many messages were not valid, else 0.",
)
SERVER_UP = _gauge(
    "settle_server_up",
    "1 if a server answered this worker when it was last asked, else 0.",
    server=("database", "result_channel", "broker"),
)

# -- written by worker.monitoring.sampling, every few seconds -----------------------------------

QUEUE_MESSAGES = _gauge(
    "settle_queue_messages",
    "Messages waiting in the queue, of all priorities. The same from every worker; NaN if unknown.",
)
QUEUE_AGE_SECONDS = _gauge(
    "settle_queue_oldest_age_seconds",
    "Seconds since the oldest waiting message was sent, 0 if none waits. Redis only; NaN if its "
    "producer does not say (header `sent_at`).",
)
DEAD_LETTERS_KEPT = _gauge(
    "settle_dead_letters_kept",
    "Dead letters that nobody has seen to. The same from every worker; NaN if unknown.",
)


def reference() -> str:
    """Write `docs/metrics.md`."""
    rows = [
        f"| `{metric.name}` | {metric.kind} | {_labels(metric)} | {metric.says} |"
        for metric in CATALOGUE
    ]
    return "\n".join([_REFERENCE_HEAD, *rows, ""])


def _labels(metric: Metric) -> str:
    return "; ".join(
        f"`{label}`: {', '.join(f'`{value}`' for value in values)}"
        for label, values in metric.labels.items()
    )


_REFERENCE_HEAD = """\
# Metrics

With `SETTLE_METRICS_PORT` a worker serves these at `/metrics`, in the format of Prometheus. They
are about that one worker, unless they say otherwise. The usual `process_…` metrics of its main
process are there too. See [operations](operations.md#metrics) for the dashboard and the alerts.

<!-- Written by `settle config --metrics-reference`; a test fails when this page is stale. -->

| metric | kind | labels | meaning |
|---|---|---|---|"""
