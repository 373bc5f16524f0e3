"""Spans of batches, made by the real strategy for an SDK that keeps them in memory."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from settle_client.envelope import single
from settle_client.update import StatusUpdate
from tests.unit.worker.test_strategy import AWAY, BROKEN, DONE, Consumer, one, receive, strategy_of
from worker.telling import tracing
from worker.transport.redis.fetch import Fetched, Source

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from worker.strategy import BatchStrategy

UPDATE = StatusUpdate(id="ev_1", status="completed")
SOURCE = Source("event-status-updates", "event-status-updates", "")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Stand in for the user's SDK."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


@pytest.fixture
def consumer() -> Consumer:
    """Give a consumer with one slot."""
    return Consumer()


@pytest.fixture
def strategy(exporter: InMemorySpanExporter, consumer: Consumer) -> BatchStrategy:
    """Give its strategy, which finds the SDK."""
    assert not exporter.get_finished_spans()
    return strategy_of(consumer)


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    """Return the one span that ended."""
    (span,) = exporter.get_finished_spans()
    return span


def test_a_batch_is_one_span(
    strategy: BatchStrategy, consumer: Consumer, exporter: InMemorySpanExporter
) -> None:
    """Of a consumer, in the words of OpenTelemetry, with links to its messages' spans."""
    receive(strategy, one("a", traceparent=PARENT), one("b"), one("c", traceparent=PARENT))
    consumer.turn()
    assert not exporter.get_finished_spans()
    consumer.report(DONE)
    span = only(exporter)
    assert (span.name, span.kind) == ("process event-status-updates", trace.SpanKind.CONSUMER)
    assert span.parent is None
    assert dict(span.attributes or {}) == {
        "messaging.system": "kombu",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "event-status-updates",
        "messaging.batch.message_count": 3,
        "settle.batch": 1,
        "settle.updates": 3,
        "settle.why": "slot",
        "settle.outcomes.updated": 1,
    }
    links = [(link.context.trace_id, dict(link.attributes or {})) for link in span.links]
    trace_id = 0x0AF7651916CD43DD8448EB211C80319C
    assert links == [
        (trace_id, {"messaging.message.id": "a"}),
        (trace_id, {"messaging.message.id": "c"}),
    ]
    assert [event.name for event in span.events] == ["applied", "published"]


def test_a_plain_message_is_linked_too(
    strategy: BatchStrategy, consumer: Consumer, exporter: InMemorySpanExporter
) -> None:
    """Our producer's, read without kombu: the context of the span that sent it goes with it."""
    sender = trace.get_tracer("test").start_span("send")
    with trace.use_span(sender):
        items = [single(UPDATE).item()]
    items.append(single(UPDATE).item())
    took = strategy._take(
        [Fetched(SOURCE, f"tag{n}", item, len(item)) for n, item in enumerate(items)]
    )
    assert took == len(items)
    consumer.turn()
    strategy._deliveries.acknowledge = list  # type: ignore[method-assign,assignment]
    consumer.report(DONE)
    (link,) = only(exporter).links
    assert link.context.span_id == sender.get_span_context().span_id


def test_a_batch_that_is_tried_again_is_still_one_span(
    strategy: BatchStrategy, consumer: Consumer, exporter: InMemorySpanExporter
) -> None:
    """Its failed tries are events."""
    receive(strategy, one("a"))
    consumer.turn()
    consumer.report(AWAY)
    consumer.wait()
    consumer.report(DONE)
    span = only(exporter)
    assert [event.name for event in span.events] == ["not done", "applied", "published"]
    assert span.status.is_unset


@pytest.mark.parametrize(
    ("result", "kind"),
    [(BROKEN, "DatabaseError"), (RuntimeError("killed"), "slot lost")],
    ids=["failed", "lost its slot"],
)
def test_a_batch_that_goes_back_is_an_error(
    strategy: BatchStrategy,
    consumer: Consumer,
    exporter: InMemorySpanExporter,
    result: Any,
    kind: str,
) -> None:
    """The span says of what kind."""
    receive(strategy, one("a"))
    consumer.turn()
    consumer.report(result)
    if consumer.later:
        consumer.wait()
    span = only(exporter)
    assert (span.attributes or {})["error.type"] == kind
    assert span.status.status_code is trace.StatusCode.ERROR


def test_a_lost_connection_ends_the_spans(
    strategy: BatchStrategy, consumer: Consumer, exporter: InMemorySpanExporter
) -> None:
    """What is delivered again gets others."""
    receive(strategy, one("a"))
    consumer.turn()
    strategy.abandon()
    consumer.report(DONE)
    assert (only(exporter).attributes or {})["error.type"] == "connection lost"


def test_links_are_bounded(
    strategy: BatchStrategy, consumer: Consumer, exporter: InMemorySpanExporter
) -> None:
    """A batch may have more messages than anybody wants to follow."""
    receive(strategy, *(one(str(n), traceparent=PARENT) for n in range(tracing.MAX_LINKS + 9)))
    consumer.turn()
    consumer.report(DONE)
    assert len(only(exporter).links) == tracing.MAX_LINKS


@pytest.mark.parametrize("hostile", [7, {}, [["x"]], "nonsense", "00-0-0-0", None], ids=repr)
def test_hostile_headers_link_to_nothing(
    strategy: BatchStrategy, consumer: Consumer, exporter: InMemorySpanExporter, hostile: Any
) -> None:
    """Anybody can send any header."""
    receive(strategy, one("a", traceparent=hostile, tracestate=hostile, baggage=hostile))
    consumer.turn()
    consumer.report(DONE)
    assert not only(exporter).links


def test_without_an_sdk_no_header_is_read(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would get the span."""
    monkeypatch.setattr(tracing, "_links", lambda _: pytest.fail("read"))
    strategy = strategy_of(consumer)
    receive(strategy, one("a", traceparent=PARENT))
    consumer.turn()
    consumer.report(DONE)
    assert not consumer.jobs


def test_without_the_extra_there_are_no_traces(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API itself may be missing."""
    monkeypatch.setattr(tracing, "IS_INSTALLED", False)
    monkeypatch.delattr(tracing, "trace")
    strategy = strategy_of(consumer)
    receive(strategy, one("a", traceparent=PARENT))
    consumer.turn()
    consumer.report(DONE)
    assert not strategy.busy


@pytest.mark.usefixtures("exporter")
def test_a_message_carries_its_trace_as_a_celery_clients_would() -> None:
    """Among the headers, on every broker, and the rest of the message is as without."""
    without = json.loads(single(UPDATE).item())
    with trace.use_span(trace.get_tracer("test").start_span("send")):
        envelope = single(UPDATE)
    carrying = json.loads(envelope.item())
    header = carrying["headers"].pop("traceparent")
    assert header.startswith("00-")
    assert envelope.headers()["traceparent"] == header
    assert carrying["headers"].keys() == without["headers"].keys()
    assert carrying["body"] == b64encode(envelope.body).decode() == without["body"]
