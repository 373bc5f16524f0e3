"""What the strategy holds: a message together with what the broker delivered.

Pure bookkeeping around a delivery. When it is applied and when it is
acknowledged is the strategy's.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from celery.worker import state
from celery.worker.request import Request

from tasks.messages import InvalidUpdate
from worker.receiving import delivery_details
from worker.slot import Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.messages import Message


class Held(NamedTuple):
    """A message on its way: what the broker delivered, and what it says.

    `request` is Celery's own view of it, made only for messages that use the
    options it implements.
    """

    delivered: Any
    message: Message
    request: Any = None

    @property
    def update_count(self) -> int:
        """Return how many updates the message carries."""
        return len(self.message.updates)

    @property
    def invalid_share(self) -> float:
        """Return which part of the updates is not valid."""
        updates = self.message.updates
        if len(updates) == 1:
            return float(isinstance(updates[0], InvalidUpdate))
        return sum(isinstance(update, InvalidUpdate) for update in updates) / len(updates)


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
        or headers["id"] in state.revoked
    )


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
        deliveries=tuple(delivery_details(held.delivered) for held in items),
        wants_result=tuple(
            not (held.delivered.headers or {}).get("ignore_result") for held in items
        ),
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

    def learn(self, update_count: int) -> None:
        """Take a message that came into the estimate."""
        self._mean += (update_count - self._mean) * self.WEIGHT

    def messages(self, held_updates: int) -> int:
        """Return how many messages there is room for, at least one while nothing is held."""
        free = self.max_updates - held_updates
        fit = int(max(free, 0) / max(self._mean, 1.0))
        return max(fit, 1 if held_updates == 0 else 0)
