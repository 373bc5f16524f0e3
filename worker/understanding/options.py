"""What only Celery knows of a message: whether it is delayed, has expired, or was revoked.

Those are Celery's own options, and its `Request` implements them. One is made only
for messages that use them, for it costs more than settling does.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from celery.worker import state
from celery.worker.request import Request
from kombu.utils.functional import maybe_list

if TYPE_CHECKING:
    from worker.transport.delivery import Delivery


def uses_options(headers: dict[str, Any]) -> bool:
    """Return whether a message needs a request: it is delayed, may expire, or is revoked."""
    if not isinstance(headers.get("id"), str):
        return False
    # Written out: this is asked of every message that is not plain.
    return bool(
        headers.get("eta")
        or headers.get("expires")
        or headers.get("stamped_headers")
        or is_revoked(headers["id"])
    )


def is_revoked(message_id: str | None) -> bool:
    """Return whether somebody has revoked a message."""
    # To see that the set is empty costs less than to look into it.
    return any_revoked() and message_id in state.revoked


def any_revoked() -> bool:
    """Return whether somebody has revoked any message."""
    return len(state.revoked) > 0


def why_dropped(request: Any) -> str | None:
    """Return why a message is not to be applied, None if it is.

    Celery's own `Request.revoked` decides the same. It also acknowledges, tells and writes to
    the result backend at once, though the message may have been applied before.

    Raises:
        Exception: An option of it makes no sense.
    """
    expires = request.expires
    if expires and datetime.now(UTC if expires.tzinfo else None) > expires:
        return "expired"
    return "revoked" if is_revoked(request.id) or _is_revoked_by_stamp(request) else None


def _is_revoked_by_stamp(request: Any) -> bool:
    for name in request.stamped_headers if state.revoked_stamps else ():
        revoked, stamp = state.revoked_stamps.get(name), request.stamps.get(name)
        if revoked is None or stamp is None:
            continue
        stamps = stamp if isinstance(stamp, list | tuple) else [stamp]
        if stamp == revoked or any(one in maybe_list(revoked) for one in stamps):
            return True
    return False


class Options:
    """A message without what it carries: a request is asked about its options alone.

    What it carries is understood already, and was nothing that Celery must be able to read.
    """

    content_type, content_encoding = "application/json", "utf-8"
    body = b"[[], {}, {}]"
    payload: tuple[Any, ...] = ([], {}, {})

    def __init__(self, message: Any) -> None:
        """Have the rest of a `kombu.Message`."""
        self.headers, self.properties = message.headers, message.properties
        self.delivery_info = message.delivery_info


class Requests:
    """Makes requests for the messages of one connection."""

    def __init__(self, task: Any, app: Any, consumer: Any) -> None:
        """Make them of Celery's task, application and consumer, which is connected."""
        self._task, self._app, self._consumer = task, app, consumer
        # Kept: a connection that is lost, asked for its channel, would connect anew.
        self._channel = consumer.connection.default_channel

    def make(self, delivery: Delivery) -> Any:
        """Make Celery's view of a delivery.

        Raises:
            Exception: It is no message of Celery's, or an option of it makes no sense.
        """
        consumer = self._consumer
        message = delivery.to_message(self._channel)
        return Request(
            Options(message),
            on_ack=message.ack_log_error,
            on_reject=message.reject_log_error,
            app=self._app,
            hostname=consumer.hostname,
            eventer=consumer.event_dispatcher,
            task=self._task,
            connection_errors=consumer.connection_errors,
            body=Options.body,
            headers=message.headers,
            utc=self._app.uses_utc_timezone(),
        )
