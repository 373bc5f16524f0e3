"""The body of a request: some outcomes, in the form that an endpoint has chosen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from service.cloud_events import BATCH_MEDIA_TYPE, cloud_event, published_at
from service.entries import read_head
from settle_client.moments import timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhooks.endpoints import Format
    from webhooks.queues import Waiting

TYPE = "outcomes"


class Payload(NamedTuple):
    """What is sent, and of which kind it is; the same for the same outcomes."""

    media_type: str
    text: str


def payload_of(outcomes: Sequence[Waiting], form: Format) -> Payload:
    """Write the body of a request."""
    if form == "cloudevents":
        return Payload(BATCH_MEDIA_TYPE, f"[{', '.join(map(_cloud_event, outcomes))}]")
    head = {"type": TYPE, "timestamp": timestamp(published_at(outcomes[-1].entry))}
    many = ", ".join(outcome.text for outcome in outcomes)
    return Payload(
        "application/json", f'{json.dumps(head)[:-1]}, "data": {{"outcomes": [{many}]}}}}'
    )


def _cloud_event(outcome: Waiting) -> str:
    head, text = read_head({"outcome": outcome.text})
    return cloud_event(head, text, outcome.entry)
