"""An OpenTelemetry SDK for a worker under test: `--include` it, and spans go to $SPANS."""

from __future__ import annotations

import os
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

provider = TracerProvider()
provider.add_span_processor(
    SimpleSpanProcessor(
        ConsoleSpanExporter(
            out=Path(os.environ["SPANS"]).open("a"),  # noqa: SIM115 - until the worker ends
            formatter=lambda span: f"{span.to_json(indent=None)}\n",
        )
    )
)
trace.set_tracer_provider(provider)
