"""Events over HTTP, without the I/O: listed, looked at, created, settled.

What is asked; `settle_client.http.answers` reads what is answered, and
`settle_client.http.retrying` asks again.
"""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from settle_client.checking import check, check_all, check_id
from settle_client.errors import GatewayError, InvalidUpdateError
from settle_client.event import CreatedEvent, Event
from settle_client.http import answers
from settle_client.http.exchange import JSON, Request
from settle_client.http.new_events import write_events, written_time
from settle_client.http.problems import next_place
from settle_client.http.retrying import insist
from settle_client.outcome import encode_json
from settle_client.steps import Given

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from settle_client.http.exchange import Answer
    from settle_client.http.retrying import Steps
    from settle_client.outcome import Outcome
    from settle_client.update import StatusUpdate

    Update = StatusUpdate | Mapping[str, Any]

Result = TypeVar("Result")

EVENTS = "/v2/api/events"
BATCH = "/v2/api/events/batch"
MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,255}")


class EventPage(NamedTuple):
    """Some events, and the `after` of the next page; None behind the last."""

    events: list[Event]
    after: str | None


def list_page(filters: Mapping[str, Any], timeout_seconds: float) -> Steps[EventPage]:
    """Ask for a page of events.

    Args:
        filters: By the names of the parameters; None for none.
        timeout_seconds: See `insist`.
    """
    given = {name: _written(name, value) for name, value in filters.items() if value is not None}
    path = f"{EVENTS}?{urlencode(given)}"
    answer = yield from insist(Request("GET", path), timeout_seconds)
    return EventPage(answers.read_all_shown(answer, Event), next_place(answer))


def list_events(filters: Mapping[str, Any], timeout_seconds: float) -> Steps[None]:
    """Give events from one page to the next, by the place where each begins."""
    after = None
    while True:
        page = yield from list_page({**filters, "after": after}, timeout_seconds)
        for event in page.events:
            if (yield Given(event)):
                return
        after = page.after
        if after is None:
            return


def get_event(event_id: str, timeout_seconds: float) -> Steps[Event]:
    """Ask for an event."""
    path = f"{EVENTS}/{path_part(check_id(event_id))}"
    answer = yield from insist(Request("GET", path), timeout_seconds)
    return answers.read_shown(answer, Event)


def create_events(
    events: Sequence[Event | Mapping[str, Any]], timeout_seconds: float
) -> Steps[list[CreatedEvent]]:
    """Create events, and return what became of each."""
    request = Request("POST", EVENTS, JSON, write_events(events))
    answer = yield from insist(request, timeout_seconds)
    return answers.read_all_shown(answer, CreatedEvent)


def settle(update: Update, message_id: str | None, timeout_seconds: float) -> Steps[Outcome]:
    """Settle one event, and return its outcome."""
    body = encode_json(check(update).to_dict())
    request = _message(EVENTS, body, message_id)
    return (yield from _send(request, timeout_seconds, answers.read_one_outcome))


def settle_together(
    updates: Sequence[Update], message_id: str | None, timeout_seconds: float
) -> Steps[list[Outcome]]:
    """Settle events, and return an outcome for each update."""
    request = _message(BATCH, _array(updates), message_id)
    read = partial(answers.read_outcomes, count=len(updates))
    return (yield from _send(request, timeout_seconds, read))


def settle_later(
    updates: Sequence[Update], message_id: str | None, timeout_seconds: float
) -> Steps[str]:
    """Have events settled by way of the queue, and return the message's id."""
    request = _message(BATCH, _array(updates), message_id, {"Prefer": "respond-async"})
    yield from _send(request, timeout_seconds, answers.read_state)
    return request.headers["Idempotency-Key"]


def _array(updates: Sequence[Update]) -> bytes:
    return encode_json([update.to_dict() for update in check_all(updates)])


def _message(
    path: str, body: bytes, message_id: str | None, headers: Mapping[str, str] | None = None
) -> Request:
    # Drawn once: however often it is sent, it is one message.
    message_id = check_message_id(str(uuid.uuid4()) if message_id is None else message_id)
    own = {**JSON, "Idempotency-Key": message_id, **(headers or {})}
    return Request("PATCH", path, own, body)


def check_message_id(message_id: str) -> str:
    """Return a message id that can be sent.

    Raises:
        InvalidUpdateError: It cannot.
    """
    if not MESSAGE_ID.fullmatch(message_id):
        raise InvalidUpdateError("message_id: must be 1 to 255 visible ASCII characters")
    return message_id


def path_part(text: str) -> str:
    """Write a text as a part of a path."""
    part = quote(text, safe="")
    # Dots alone would be a step upwards.
    return part if part.strip(".") else part.replace(".", "%2E")


def _send(
    request: Request, timeout_seconds: float, read: Callable[[Answer], Result]
) -> Steps[Result]:
    try:
        answer = yield from insist(request, timeout_seconds)
        return read(answer)
    except GatewayError as error:
        error.message_id = request.headers["Idempotency-Key"]
        raise


def _written(name: str, value: Any) -> Any:
    return written_time(name, value) if isinstance(value, datetime) else value
