"""Celery's event dispatcher and remote control, which leave publishing to somebody else.

Celery publishes task events and heartbeats, and answers to remote control, in the
consumer's thread, and waits for the broker there; for the events it also opens a
connection beside the consumer's, whose loss it takes for the consumer's. Here all of it
is handed to who publishes it elsewhere, and no other connection is opened. The
dispatcher also takes many task events at once that are written already: Celery's own way
takes one at a time, as a dictionary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.events.dispatcher import EventDispatcher
from celery.worker.consumer import events
from celery.worker.state import reserved_requests
from kombu import pidbox
from kombu.entity import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# The routing key under which monitors expect several task events at once.
SEVERAL = "task.multi"


class NonBlockingEventDispatcher(EventDispatcher):
    """Celery's dispatcher, which waits for nobody."""

    publish_elsewhere: Callable[..., None]

    def publish_written(self, first: bytes, more: Iterable[bytes], byte_count: int) -> None:
        """Publish task events, each time several in one message.

        Args:
            first: A JSON array of them.
            more: Others, written if somebody was there for the first.
            byte_count: How much memory these keep until then.
        """
        json = {"content_type": "application/json", "content_encoding": "utf-8"}
        self._put(first, SEVERAL, more=more, byte_count=byte_count, **json)

    def _publish(self, event: Any, producer: Any, routing_key: str, **_: Any) -> None:
        if producer is not None:
            self._put(event, routing_key, serializer=self.serializer)

    def _put(self, body: Any, routing_key: str, **how: Any) -> None:
        self.publish_elsewhere(
            body=body,
            routing_key=routing_key,
            exchange=self.exchange.name,
            declare=[self.exchange],
            headers=self.headers,
            delivery_mode=self.delivery_mode,
            **how,
        )


class Node(pidbox.Node):
    """A worker's end of remote control, which waits for nobody."""

    mailbox: Any
    publish_elsewhere: Callable[..., None]

    def reply(self, data: Any, exchange: str, routing_key: str, ticket: str, **_: Any) -> None:
        """Answer whoever has asked."""
        declared: Any = Exchange(exchange, "direct", delivery_mode="transient", durable=False)
        self.publish_elsewhere(
            body=data,
            routing_key=routing_key,
            exchange=exchange,
            declare=[declared],
            headers={"ticket": ticket, "clock": self.mailbox.clock.forward()},
            serializer=self.mailbox.serializer,
        )


def install(app: Any, publish: Callable[..., None]) -> None:
    """Let somebody else publish what a worker says to monitors.

    Args:
        app: The Celery application.
        publish: Takes what kombu's `Producer.publish` takes, and does not wait; see
            `worker.telling.outbox` for what else.
    """
    NonBlockingEventDispatcher.publish_elsewhere = Node.publish_elsewhere = staticmethod(publish)
    app.events.dispatcher_cls = NonBlockingEventDispatcher
    app.control.mailbox.node_cls = Node
    events.Events.start = start_without_connection


def start_without_connection(step: Any, consumer: Any) -> None:
    """Make a dispatcher for a new connection; Celery's step does no more than that."""
    step._close(consumer)  # noqa: SLF001 - the part of it that stays
    dispatcher = consumer.event_dispatcher = consumer.app.events.Dispatcher(
        hostname=consumer.hostname,
        enabled=step.send_events,
        groups=step.groups,
        buffer_group=["task"] if consumer.hub else None,
        on_send_buffered=consumer.on_send_event_buffered if consumer.hub else None,
    )
    for request in tuple(reserved_requests):
        request.eventer = dispatcher
