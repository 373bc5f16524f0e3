"""What is looked up when somebody asks: how much is held, whether servers answer.

And the metrics as `celery inspect stats` shows them, for who has no Prometheus.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from worker.held import Load
from worker.telling import metrics
from worker.telling.vitals import BROKER, SERVERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.catalogue import Metric
    from worker.telling.vitals import Vitals
    from worker.watching.judging import Judgement


def load_of(worker: Any) -> Load:
    """Return what a worker holds, as any thread may ask."""
    strategy = getattr(worker.consumer, "strategy", None)
    return Load() if strategy is None else strategy.load


def look_up(
    worker: Any, vitals: Vitals, live: Callable[[], Judgement], ready: Callable[[], Judgement]
) -> None:
    """Let the gauges be looked up.

    Args:
        worker: Celery's.
        vitals: What its threads leave word of.
        live: Says whether it is live.
        ready: Says whether it is ready.
    """
    load = load_of
    metrics.HELD_MESSAGES.labels("waiting").set_function(lambda: load(worker).waiting_messages)
    metrics.HELD_MESSAGES.labels("slots").set_function(lambda: load(worker).slot_messages)
    metrics.HELD_UPDATES.labels("waiting").set_function(lambda: load(worker).waiting_updates)
    metrics.HELD_UPDATES.labels("slots").set_function(lambda: load(worker).slot_updates)
    metrics.SLOTS.set_function(lambda: worker.pool.num_processes)
    metrics.SLOTS_TAKEN.set_function(lambda: load(worker).slots_taken)
    metrics.LIVE.set_function(lambda: live().holds)
    metrics.READY.set_function(lambda: ready().holds)
    metrics.BREAKER_TRIPPED.set_function(lambda: bool(vitals.stopped_because))
    for server in (*SERVERS, *BROKER):
        metrics.SERVER_UP.labels(server).set_function(partial(vitals.is_up, server))


def snapshot() -> dict[str, Any]:
    """Return every metric by its name without the prefix, and by label where it has one."""
    return {short_name(metric): _values(metric) for metric in metrics.CATALOGUE}


def short_name(metric: Metric) -> str:
    """Return what a metric is called in `celery inspect stats`."""
    return metric.name.removeprefix("settle_").removesuffix("_total")


def _values(metric: Metric) -> Any:
    read = _count_and_sum if metric.kind == "histogram" else _value
    if not metric.labels:
        return read(metric.name, {})
    return {
        value: read(metric.name, {label: value})
        for label, values in metric.labels.items()
        for value in values
    }


def _count_and_sum(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {part: _value(f"{name}_{part}", labels) for part in ("count", "sum")}


def _value(name: str, labels: dict[str, str]) -> float | None:
    value = metrics.REGISTRY.get_sample_value(name, labels)
    if value is None or math.isnan(value):
        return None
    return int(value) if value.is_integer() else round(value, 6)
