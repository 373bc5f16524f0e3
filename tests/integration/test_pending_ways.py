"""The benchmark of ways to list pending events, in small: each of them works."""

from __future__ import annotations

import pytest

from bench.pending import run
from cli.embedded import ServerUnavailable
from tests.started import or_skipped

pytestmark = pytest.mark.storms


def test_the_benchmark_in_small() -> None:
    """All find the same pages; only those that write to no index of events stay HOT."""
    with or_skipped(ServerUnavailable):
        found = {one.way: one for one in run(rows=30_000, pending=2_000, settled=4_000)}
    hot = {name for name, one in found.items() if one.hot >= 0.95}
    assert hot == {
        *("none", "index, filtered"),
        *("side table, same statement", "side table, triggers"),
    }
    assert set(found) - hot == {"partial index", "partitions by state"}
