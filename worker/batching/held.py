"""What the strategy holds: a message together with what the broker delivered.

Pure bookkeeping around a delivery. When it is applied and when it is
acknowledged is the strategy's.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from celery.worker import state
from celery.worker.request import Request

from service.sent import sensible, sent_at_of_item
from settle_client.names import SENT_AT
from tasks.messages import InvalidUpdate
from worker.applying.slot import Job
from worker.transport.redis.fetch import Fetched
from worker.understanding.receiving import delivery_details

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tasks.messages import Message
    from worker.understanding.plain import Plain, Shown


class _Item(msgspec.Struct):
    headers: dict[str, Any]


_decode = msgspec.json.Decoder(_Item).decode


class Held(NamedTuple):
    """A message on its way.

    Attributes:
        tag: What the broker knows its delivery by.
        message: What it says.
        update_count: How many updates it carries.
        invalid_share: Which part of them is not valid.
        wants_result: Whether the producer asked for a Celery result.
        delivery: How it came, for a dead letter.
        delivered: What the broker delivered; `Fetched` where kombu made nothing of it.
        request: Celery's own view of it, made only for messages that use the options
            which that implements.
        shown: What monitors show of it, if it is plain and they want to.
    """

    tag: Any
    message: Message
    update_count: int
    invalid_share: float
    wants_result: bool
    delivery: dict[str, Any]
    delivered: Any
    request: Any = None
    shown: Shown | None = None


class Load(NamedTuple):
    """How much is held, and where."""

    waiting_messages: int = 0
    waiting_updates: int = 0
    slot_messages: int = 0
    slot_updates: int = 0
    slots_taken: int = 0


def hold(delivered: Any, message: Message, request: Any = None) -> Held:
    """Hold what kombu delivered, or what stands in for it."""
    headers = delivered.headers if isinstance(delivered.headers, dict) else {}
    invalid = sum(isinstance(update, InvalidUpdate) for update in message.updates)
    return Held(
        tag=delivered.delivery_tag,
        message=message,
        update_count=len(message.updates),
        invalid_share=invalid / len(message.updates),
        wants_result=not headers.get("ignore_result"),
        delivery=delivery_details(delivered),
        delivered=delivered,
        request=request,
    )


def hold_plain(fetched: Fetched, plain: Plain) -> Held:
    """Hold what was fetched and needs nothing of kombu."""
    message, wants_result, delivery, shown = plain
    count = len(message.updates)
    return Held(fetched.tag, message, count, 0.0, wants_result, delivery, fetched, None, shown)


def headers_of(held: Held) -> dict[str, Any]:
    """Return the headers of a message, however it was delivered."""
    if isinstance(held.delivered, Fetched):
        return _decode(held.delivered.item).headers
    return held.delivered.headers if isinstance(held.delivered.headers, dict) else {}


def sent_at_of(held: Held) -> float | None:
    """Return when a held message was sent, in seconds since the epoch."""
    if type(held.delivered) is Fetched:
        return sent_at_of_item(held.delivered.item)
    headers = held.delivered.headers
    return sensible(headers.get(SENT_AT)) if isinstance(headers, dict) else None


def uses_options(delivered: Any) -> bool:
    """Return whether a delivery needs a Request: it is delayed, may expire, or is revoked."""
    headers = delivered.headers
    if not isinstance(headers, dict) or not isinstance(headers.get("id"), str):
        return False
    # Written out: this is asked of every message.
    return bool(
        headers.get("eta")
        or headers.get("expires")
        or headers.get("stamped_headers")
        or is_revoked(headers["id"])
    )


def is_revoked(message_id: str | None) -> bool:
    """Return whether somebody has revoked a message."""
    # To see that the set is empty costs less than to look into it.
    return len(state.revoked) > 0 and message_id in state.revoked


def make_request(delivered: Any, *, task: Any, app: Any, consumer: Any) -> Any:
    """Make Celery's view of a delivery, which knows whether it is delayed, expired or revoked.

    Raises:
        InvalidTaskError: An option of the message makes no sense.
    """
    return Request(
        delivered,
        on_ack=delivered.ack_log_error,
        on_reject=delivered.reject_log_error,
        app=app,
        hostname=consumer.hostname,
        eventer=consumer.event_dispatcher,
        task=task,
        connection_errors=consumer.connection_errors,
        body=delivered.body,
        headers=delivered.headers,
        utc=app.uses_utc_timezone(),
    )


def job_of(items: Sequence[Held]) -> Job:
    """Return what a slot needs of a batch."""
    return Job(
        key=uuid.uuid4().hex,
        messages=tuple(held.message for held in items),
        deliveries=tuple(held.delivery for held in items),
        wants_result=tuple(held.wants_result for held in items),
    )


class Room:
    """How many more messages may be fetched, so that a bounded number of updates is held.

    What is still at the broker may carry one update or a thousand; it is taken to
    be like what came lately, and at first to be as large as it may be.
    """

    # Of the estimate, how much one more message counts.
    WEIGHT = 0.1

    def __init__(self, *, max_updates: int, largest_message: int) -> None:
        self.max_updates = max_updates
        self._mean = float(largest_message)

    def learn(self, update_counts: Iterable[int]) -> None:
        """Take messages that came into the estimate."""
        for count in update_counts:
            self._mean += (count - self._mean) * self.WEIGHT

    def messages(self, held_updates: int) -> int:
        """Return how many messages there is room for, at least one while nothing is held."""
        free = self.max_updates - held_updates
        fit = int(max(free, 0) / max(self._mean, 1.0))
        return max(fit, 1 if held_updates == 0 else 0)
