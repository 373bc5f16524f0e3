"""The trace that a message belongs to, as OpenTelemetry carries it in headers.

The headers are those that OpenTelemetry's instrumentation of Celery gives to what
`send_task` sends. Without OpenTelemetry, or outside of a span, there are none.
"""

from __future__ import annotations

try:
    from opentelemetry import propagate, trace
except ImportError:
    IS_INSTALLED = False
else:
    IS_INSTALLED = True


def trace_headers() -> dict[str, str] | None:
    """Return the headers that continue the span which is active in this thread, if one is."""
    # To ask for the span costs much less than to let it be written into nothing.
    if not IS_INSTALLED or trace.get_current_span() is trace.INVALID_SPAN:
        return None
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers
