"""The trace that a message belongs to, as OpenTelemetry carries it in headers.

The headers are those that OpenTelemetry's instrumentation of Celery gives to what
`send_task` sends. Without OpenTelemetry, or outside of a span, there are none.
"""

from __future__ import annotations

import sys
from typing import Any


def trace_headers() -> dict[str, str] | None:
    """Return the headers that continue the span which is active in this thread, if one is."""
    # Whoever has a span has imported this; whoever has none need not wait for it.
    trace: Any = sys.modules.get("opentelemetry.trace")
    # To ask for the span costs much less than to let it be written into nothing.
    if trace is None or trace.get_current_span() is trace.INVALID_SPAN:
        return None
    from opentelemetry import propagate  # noqa: PLC0415 - only with a span

    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers
