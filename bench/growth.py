"""What an update costs as the batch, the backlog or the table grows."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench import measuring
from bench.contenders import SETTLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.contenders import Contender
    from bench.rig import Rig

BATCHES = (10, 100, 1_000, 10_000)
# A queue that is drained has every length once. So that nothing else differs, they are
# measured in one run: between which outcomes, while about so many messages are left.
BACKLOG = 1_000_000
LEFT = {10_000: (970_000, 998_000), 100_000: (850_000, 950_000), BACKLOG: (20_000, 120_000)}
TABLES = (100_000, 1_000_000, 10_000_000)


def growth(rig: Rig, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure each size in turn, as often as there are rounds.

    Returns:
        For each thing that grows, for each size, the rates, and for batches the
        99th percentile of the latency at half of the median rate.
    """
    kinds: dict[str, dict[int, Contender]] = {
        "updates in a batch": {size: _batch(size) for size in BATCHES},
        "rows in the table": {size: replace(SETTLE, rows=size) for size in TABLES},
    }
    result: dict[str, Any] = {}
    for kind, contenders in kinds.items():
        points = result[kind] = {str(size): {"rates": []} for size in contenders}
        for _ in range(rounds):
            for size, contender in contenders.items():
                rate = measuring.throughput(rig, contender)
                points[str(size)]["rates"].append(rate)
                say(f"{size:>10,} {kind:24} {rate:9,.0f}/s")
    result["messages in the queue"] = _drained(rig, rounds, say)
    for size, contender in kinds["updates in a batch"].items():
        point: dict[str, Any] = result["updates in a batch"][str(size)]
        half = statistics.median(point["rates"]) / 2
        latencies = measuring.latencies_under_load(rig, half, contender)
        point["p99_milliseconds"] = statistics.quantiles(latencies.seconds, n=100)[98] * 1000
        say(f"{size:>10,} updates in a batch: p99 {point['p99_milliseconds']:.1f} ms")
    return result


def _drained(rig: Rig, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    points: dict[str, Any] = {str(queued): {"rates": []} for queued in LEFT}
    for _ in range(rounds):
        for queued, rate in measuring.drain(rig, BACKLOG, LEFT).items():
            points[str(queued)]["rates"].append(rate)
            say(f"{queued:>10,} messages in the queue    {rate:9,.0f}/s")
    return points


def _batch(size: int) -> Contender:
    return replace(SETTLE, settings={"SETTLE_BATCH_MAX_UPDATES": str(size)})
