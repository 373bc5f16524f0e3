"""What came back, counted while it comes.

Threads add to it, the display and the reconciliation read it.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.demo.plan import ShortOutcome
    from settle_client.outcome import Outcome


class Tally:
    """Counts of one demo."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sent_at: dict[str, float] = {}
        self.sent_updates = 0
        self.short_outcomes: defaultdict[str, list[ShortOutcome]] = defaultdict(list)
        self.outcomes: dict[tuple[str, str], Outcome] = {}
        self.reasons: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.batch_sizes: list[int] = []
        self.batches_left: Counter[str] = Counter()
        self.first_at: float | None = None
        self.last_at: float | None = None

    def add_sent_line(self, line: str) -> None:
        """Note that the producer has sent a message; of a redelivery the first sending counts."""
        message_id, updates, sent_at = line.split()
        with self.lock:
            self.sent_at.setdefault(message_id, float(sent_at))
            self.sent_updates += int(updates)

    def add_outcome(self, outcome: Outcome, sizes: Mapping[str, int]) -> None:
        """Count an outcome, if it is of one of this demo's messages.

        Args:
            outcome: Just received.
            sizes: How many updates each of the messages has, by its id.
        """
        now = time.time()
        message_id = outcome.message_id or ""
        if message_id not in sizes:
            return
        reason = outcome.reason or "updated"
        with self.lock:
            self.first_at = self.first_at or now
            self.last_at = now
            if (
                len(self.short_outcomes[message_id]) < sizes[message_id]
                and message_id in self.sent_at
            ):
                self.latencies.append(now - self.sent_at[message_id])
            self.short_outcomes[message_id].append((outcome.id, outcome.status, reason))
            self.reasons[reason] += 1
            if outcome.updated:
                self.outcomes[message_id, outcome.id or ""] = outcome

    def add_log_line(self, line: str) -> None:
        """Count a batch, if the worker's log line is about one."""
        if '"batch settled"' not in line:
            return
        batch = json.loads(line)
        with self.lock:
            self.batch_sizes.append(batch["updates"])
            self.batches_left[batch["why"]] += 1

    @property
    def received(self) -> int:
        """Return how many outcomes have come."""
        return self.reasons.total()

    def per_second(self) -> float:
        """Return outcomes a second, from the first to the last."""
        if self.first_at is None or self.last_at is None or self.last_at <= self.first_at:
            return 0.0
        return self.received / (self.last_at - self.first_at)

    def latency_seconds(self, percentile: int) -> float | None:
        """Return how long updates took from being sent to their outcome."""
        with self.lock:
            if len(self.latencies) < 2:  # noqa: PLR2004 - what quantiles need
                return None
            return statistics.quantiles(self.latencies, n=100)[percentile - 1]

    def batch_size(self) -> tuple[int, float, int] | None:
        """Return the smallest, mean and largest number of updates in a batch."""
        with self.lock:
            sizes = self.batch_sizes
            return (min(sizes), statistics.mean(sizes), max(sizes)) if sizes else None
