"""One connection that copies are published on, many at once, until all of them are confirmed.

Without confirms of kombu's, which are waited for one by one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from worker.transport.rabbitmq.delay_queues import declare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amqp.basic_message import Message

PATIENCE_SECONDS = 10.0


class Copy(NamedTuple):
    """What is published, and by which way it goes."""

    message: Message
    exchange: str
    routing_key: str


class NotTakenError(Exception):
    """RabbitMQ did not take what was published."""


class Publishing:
    """A connection, on which something may have gone wrong: then it is to be dropped."""

    def __init__(self, connect: Callable[..., Any]) -> None:
        """Connect, and see to it that there is somewhere to publish to.

        Args:
            connect: Makes a connection of kombu's, given a heartbeat and options.

        Raises:
            Exception: It cannot, or may not.
        """
        options = {
            "confirm_publish": False,
            "on_blocked": _refused,
            "read_timeout": PATIENCE_SECONDS,
            "write_timeout": PATIENCE_SECONDS,
        }
        self._connection = connect(heartbeat=0, transport_options=options)
        self._open: set[int] = set()
        self._last = 0
        try:
            self._connection.ensure_connection(max_retries=1, timeout=PATIENCE_SECONDS)
            declare(self._connection)
            self._channel = self._connection.channel()
            self._channel.confirm_select()
        except Exception:
            self.drop()
            raise
        self._channel.events["basic_ack"].add(self._confirmed)
        self._channel.events["basic_nack"].add(_refused)

    def publish(self, copies: Sequence[Copy]) -> None:
        """Publish copies, and return when each was confirmed.

        Raises:
            Exception: At least one was not.
        """
        for message, exchange, routing_key in copies:
            self._last += 1
            self._open.add(self._last)
            # One that reaches no queue comes back, which raises; else it would be confirmed.
            self._channel.basic_publish(message, exchange, routing_key, mandatory=True)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._open:
            self._connection.drain_events(timeout=max(0.01, deadline - time.monotonic()))

    def close(self) -> None:
        """Close the connection in order, if that can be done."""
        try:
            self._connection.release()
        except Exception:  # noqa: BLE001 - of a connection in any state of decay
            self.drop()

    def drop(self) -> None:
        """Drop the connection; nothing is waited for, as a blocked broker would not answer."""
        self._connection.collect()

    def _confirmed(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._open = {one for one in self._open if one > tag}
        else:
            self._open.discard(tag)


def _refused(*why: Any) -> None:
    raise NotTakenError(f"RabbitMQ takes nothing at the moment: {why[0]}")
