"""What upstream services and consumers of Settle install beside their own code.

`Producer` and `AsyncProducer` send status updates, `ShardedProducer` and
`AsyncShardedProducer` to one of several brokers by the event; `OutcomeClient` and
`AsyncOutcomeClient` read what became of them. `HttpClient` and `AsyncHttpClient` do both
for those who have no broker. Each part is imported when it is first
asked for: whoever sends without asyncio does not wait for asyncio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from settle_client.async_outcomes import AsyncOutcomeClient
    from settle_client.async_producer import AsyncProducer
    from settle_client.async_sharded_producer import AsyncShardedProducer
    from settle_client.errors import (
        AddressError,
        BelongsElsewhereError,
        ConflictError,
        GatewayError,
        GoneError,
        InvalidUpdateError,
        NotAnsweredError,
        NotFoundError,
        NotSentError,
        NotSentToShardsError,
        RefusedError,
        SettleError,
        UnreadAnswerError,
    )
    from settle_client.event import CreatedEvent, Event
    from settle_client.http.answers import OutcomePage
    from settle_client.http.async_client import AsyncHttpClient
    from settle_client.http.client import HttpClient
    from settle_client.http.events import EventPage
    from settle_client.names import DEAD_LETTERS, OUTCOMES, QUEUE, SENT_AT, TASK
    from settle_client.outcome import Outcome, Problem
    from settle_client.outcomes import OutcomeClient
    from settle_client.producer import Producer
    from settle_client.salvage import UnreadOutcome
    from settle_client.sharded_producer import ShardedProducer
    from settle_client.update import StatusUpdate

_PLACES = {
    "AsyncHttpClient": "http.async_client",
    "AsyncOutcomeClient": "async_outcomes",
    "AsyncProducer": "async_producer",
    "AsyncShardedProducer": "async_sharded_producer",
    "CreatedEvent": "event",
    "Event": "event",
    "EventPage": "http.events",
    "HttpClient": "http.client",
    "Outcome": "outcome",
    "OutcomeClient": "outcomes",
    "OutcomePage": "http.answers",
    "Problem": "outcome",
    "Producer": "producer",
    "ShardedProducer": "sharded_producer",
    "StatusUpdate": "update",
    "UnreadOutcome": "salvage",
    **dict.fromkeys(("AddressError", "BelongsElsewhereError", "InvalidUpdateError"), "errors"),
    **dict.fromkeys(("NotSentError", "NotSentToShardsError", "SettleError"), "errors"),
    **dict.fromkeys(("ConflictError", "GatewayError", "GoneError", "NotAnsweredError"), "errors"),
    **dict.fromkeys(("NotFoundError", "RefusedError", "UnreadAnswerError"), "errors"),
    **dict.fromkeys(("DEAD_LETTERS", "OUTCOMES", "QUEUE", "SENT_AT", "TASK"), "names"),
}

__all__ = [
    "DEAD_LETTERS",
    "OUTCOMES",
    "QUEUE",
    "SENT_AT",
    "TASK",
    "AddressError",
    "AsyncHttpClient",
    "AsyncOutcomeClient",
    "AsyncProducer",
    "AsyncShardedProducer",
    "BelongsElsewhereError",
    "ConflictError",
    "CreatedEvent",
    "Event",
    "EventPage",
    "GatewayError",
    "GoneError",
    "HttpClient",
    "InvalidUpdateError",
    "NotAnsweredError",
    "NotFoundError",
    "NotSentError",
    "NotSentToShardsError",
    "Outcome",
    "OutcomeClient",
    "OutcomePage",
    "Problem",
    "Producer",
    "RefusedError",
    "SettleError",
    "ShardedProducer",
    "StatusUpdate",
    "UnreadAnswerError",
    "UnreadOutcome",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
