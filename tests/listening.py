"""Who listens for outcomes over HTTP, with nothing but HTTP: streams of events, and pages."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from settle_client.outcome import Outcome
from tests.gateway import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from http.client import HTTPResponse

    from tests.gateway import Answer, Gateway
    from tests.service import Service

OUTCOMES = "/v2/api/outcomes"


class Said(NamedTuple):
    """One event of a stream; without data it is no more than a position."""

    position: str
    kind: str
    data: Any


def address(**query: Any) -> str:
    """Return where outcomes are asked for."""
    return f"{OUTCOMES}?{urlencode(query, doseq=True)}" if query else OUTCOMES


def page(gateway: Gateway, headers: Mapping[str, str] | None = None, **query: Any) -> Answer:
    """Ask for a page."""
    return gateway.ask("GET", address(**query), headers=headers)


@contextmanager
def listening(gateway: Gateway, *, query: str = "", **headers: str) -> Iterator[Iterator[Said]]:
    """Listen; what is given is what comes, to the end of the stream."""
    connection = gateway.connect()
    accept = {"Accept": "text/event-stream", **named(headers)}
    connection.request("GET", f"{OUTCOMES}{query}", headers=accept)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("content-type")) == (
        *(200, "text/event-stream; charset=utf-8"),
    ), answer.read()
    try:
        yield events_in(answer)
    finally:
        connection.close()


def events_in(answer: HTTPResponse) -> Iterator[Said]:
    """Read a stream as the standard has it, as far as it is used here."""
    position, kind, data = "", "message", ""
    for line in answer:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        match name:
            case "id":
                position = value
            case "event":
                kind = value
            case "data":
                data += value
            case "" if position:
                yield Said(position, kind, json.loads(data) if data else None)
                kind, data = "message", ""


def outcome(id_: str, account: str | None = "acct_1", **fields: Any) -> Outcome:
    """Make an outcome as the service publishes it."""
    values = {"updated": True, "status": "completed", "reason": None, "message_id": "m", "index": 0}
    times = dict.fromkeys(("event_type", "created_at", "completed_at", "failed_at"))
    return Outcome(id=id_, account_id=account, **times, **(values | fields))  # type: ignore[arg-type]


def publish(service: Service, *outcomes: Outcome) -> list[str]:
    """Put outcomes into the stream, and return where they are."""
    with service.channel.pipeline(transaction=False) as pipe:
        for one in outcomes:
            pipe.xadd("event-outcomes", {"outcome": one.to_json()})
        return list(pipe.execute())
