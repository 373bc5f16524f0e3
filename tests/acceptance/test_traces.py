"""Traces of a real worker that was given an SDK, in every pool."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from settle_client.producer import Producer

if TYPE_CHECKING:
    from tests.service import Service

SENDER = NonRecordingSpan(SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=TraceFlags(1)))


@pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])
def test_a_trace_goes_through_the_queue(service: Service, pool: str) -> None:
    """From the span that sends, by our producer or any Celery client, to the batch's."""
    spans = service.folder / "spans"
    service.load("ev_1", "ev_2")
    options = ("--pool", pool, "--include", "tests.tracing_sdk")
    service.start_worker(*options, SPANS=str(spans))
    with Producer(service.users.producer) as producer, use_span(SENDER):
        ours = producer.send({"id": "ev_1", "status": "completed"})
    # As the instrumentation of Celery has it.
    headers = {"traceparent": f"00-{0xC3:032x}-{0xD4:016x}-01"}
    theirs = service.send(kwargs={"id": "ev_2", "status": "failed"}, headers=headers)
    service.wait({ours: ["ev_1"], theirs.id: ["ev_2"]})
    service.wait_until_empty()

    recorded = [json.loads(line) for line in spans.read_text().splitlines()]
    assert {span["name"] for span in recorded} == {"process event-status-updates"}
    assert {span["kind"] for span in recorded} == {"SpanKind.CONSUMER"}
    links = {
        (link["attributes"]["messaging.message.id"], int(link["context"]["trace_id"], 16))
        for span in recorded
        for link in span["links"]
    }
    assert links == {(ours, 0xA1), (theirs.id, 0xC3)}
    assert sum(span["attributes"]["messaging.batch.message_count"] for span in recorded) == 2
