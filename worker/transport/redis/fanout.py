"""What is published to whoever listens: task events, hundreds in one message.

kombu writes such a message with a slow encoder, and makes a client of its own for
each. Everything else about fanout is kombu's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu.utils.json import dumps
from msgspec.json import encode

if TYPE_CHECKING:
    from redis import Redis


class Fanout:
    """The part of a channel that publishes; mixed into kombu's."""

    direct: Redis
    key: Any
    _get_publish_topics: Any
    #: How many clients heard what was published last.
    heard_by = 0

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **kwargs: Any) -> None:
        if kwargs.get("_publish_batch") is not None:
            # One of several messages that kombu sends together.
            super()._put_fanout(exchange, message, routing_key, **kwargs)  # type: ignore[misc]
            return
        try:
            text: bytes | str = encode(message)
        except TypeError:
            # It has one of the types that kombu's JSON knows.
            text = dumps(message)
        topics = map(self.key, self._get_publish_topics(exchange, routing_key))
        self.heard_by = sum(self.direct.publish(topic, text) for topic in topics)
