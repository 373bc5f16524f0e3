"""OpenTelemetry: one span a batch, with links to where its messages come from.

Only the API is used here; spans are made if the process has an SDK, which is the
user's choice and configuration. Without one, and without the extra `otel`, nothing
is looked at: headers are read for traces alone. A span begins when the batch gets a
slot and ends when it is acknowledged or goes back, in the consumer's process, so it
is the same in every pool; what a slot does inside is not a child of it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from settle_client.names import QUEUE
from worker.job import Done, NotDone

try:
    from opentelemetry import propagate, trace
except ImportError:
    IS_INSTALLED = False
else:
    IS_INSTALLED = True

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from service.batching import Batch
    from worker.held import Held

# As many as an SDK keeps of a span, unless set otherwise.
MAX_LINKS = 128


def is_on() -> bool:
    """Return whether anybody is there to take spans."""
    if not IS_INSTALLED:
        return False
    nobody = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
    return not isinstance(trace.get_tracer_provider(), nobody)


class Traces:
    """The spans of the batches in slots."""

    def __init__(self, system: str) -> None:
        """Find out whether there is an SDK, once a connection.

        Args:
            system: What OpenTelemetry calls the broker.
        """
        self._tracer = trace.get_tracer("settle") if is_on() else None
        self._system = system
        self._spans: dict[int, Any] = {}
        self._errors: dict[int, str] = {}

    def begin(self, batch: Batch[Held]) -> None:
        """A batch has got its slot."""
        if self._tracer is None:
            return
        self._spans[batch.number] = self._tracer.start_span(
            f"process {QUEUE}",
            kind=trace.SpanKind.CONSUMER,
            links=list(islice(_links(batch.items), MAX_LINKS)),
            attributes={
                "messaging.system": self._system,
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": QUEUE,
                "messaging.batch.message_count": len(batch.items),
                "settle.batch": batch.number,
                "settle.updates": batch.update_count,
                "settle.why": str(batch.why),
            },
        )

    def note(self, batch: Batch[Held], result: Any) -> None:
        """A slot has reported: the batch is settled, or that try of it was in vain."""
        span = self._spans.get(batch.number)
        if span is None:
            return
        if isinstance(result, Done):
            self._finish(batch.number, result)
            return
        # Whatever else comes back tells of a slot that died.
        kind = result.kind if isinstance(result, NotDone) else "slot lost"
        span.add_event("not done", {"error.type": kind})
        self._errors[batch.number] = kind

    def _finish(self, number: int, done: Done) -> None:
        span, now = self._spans.pop(number), time.time_ns()
        self._errors.pop(number, None)
        span.add_event("applied", timestamp=now - int(done.seconds["published"] * 1e9))
        span.add_event("published", timestamp=now)
        for reason, count in done.summary.reasons.items():
            span.set_attribute(f"settle.outcomes.{reason}", count)
        span.end(now)

    def fail(self, number: int) -> None:
        """A batch goes back to its queue."""
        kind = self._errors.pop(number, "connection lost")
        if span := self._spans.pop(number, None):
            span.set_attribute("error.type", kind)
            span.set_status(trace.StatusCode.ERROR, kind)
            span.end()

    def abandon(self) -> None:
        """The connection is lost, and all batches are delivered again."""
        for number in list(self._spans):
            self.fail(number)


def _links(items: Iterable[Held]) -> Iterator[Any]:
    for held in items:
        context = None
        # What somebody has sent may make a propagator stumble.
        with suppress(Exception):
            headers = {k: v for k, v in held.delivery.headers().items() if isinstance(v, str)}
            found = trace.get_current_span(propagate.extract(headers)).get_span_context()
            context = found if found.is_valid else None
        if context is not None:
            yield trace.Link(context, {"messaging.message.id": held.message.id or ""})
