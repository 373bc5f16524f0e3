"""The kinds of events table that there are, for tests that hold on each."""

from __future__ import annotations

import pytest

PLAIN, PARTITIONED = "plain", "partitioned"

# What a test asks for that uses `database_url`, or what stands on it.
both = pytest.mark.parametrize("table", [PLAIN, PARTITIONED])
