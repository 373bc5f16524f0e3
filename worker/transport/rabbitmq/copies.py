"""A message as it goes to wait, and as it is again when it comes back.

RabbitMQ moves nothing from queue to queue for a consumer: a copy is published. It is
the message as its sender sent it, without what RabbitMQ would act upon or has added.
"""

from __future__ import annotations

from typing import Any, Final

from amqp.basic_message import Message
from kombu.compression import compress

from settle_client.names import QUEUE
from worker.transport.delivery import DELIVERY_COUNT
from worker.transport.rabbitmq.delay_queues import RETURNS

PERSISTENT: Final = 2
# With `x-death` a second round would look like an endless one, and be dropped. Copies go
# to nobody else, and how often a message came back before its time is not its fault.
HEADERS_OF_THE_BROKER: Final = frozenset(
    ["CC", "BCC", "x-death", DELIVERY_COUNT]
    + [
        f"x-{which}-death-{what}"
        for which in ("first", "last")
        for what in ("exchange", "queue", "reason")
    ]
)
# Beyond that RabbitMQ, which adds to them, might have to end the connection.
MAX_PROPERTIES_BYTES: Final = 65_536
# It was in time, so it does not expire in another queue; and its sender is not who copies it.
PROPERTIES_OF_THE_FIRST: Final = frozenset(("expiration", "user_id", "application_headers"))


def copy_of(message: Any) -> Message:
    """Return what is published in place of a message as kombu delivered it.

    Raises:
        Exception: Its headers cannot be written, or are too large.
    """
    headers = _without(message.headers, HEADERS_OF_THE_BROKER)
    if message.delivery_info.get("redelivered"):
        # Who decides by that must not take it for the first time.
        headers["redelivered"] = True
    body = message.body
    if headers.get("compression") and not message.errors:
        body, _ = compress(body, headers["compression"])
    properties = _without(message.properties, PROPERTIES_OF_THE_FIRST)
    properties["delivery_mode"] = PERSISTENT
    copy = Message(body, application_headers=headers, **properties)
    # Found out here, where it is about one message only.
    size = len(copy._serialize_properties())  # noqa: SLF001 - as py-amqp is about to
    if size > MAX_PROPERTIES_BYTES:
        raise ValueError(f"its headers are {size:,} bytes")
    return copy


def restore(message: Any) -> None:
    """Make what came back what it was before it waited."""
    info = message.delivery_info
    if info.get("exchange") in RETURNS:
        info.update(exchange="", routing_key=QUEUE)
        message.headers = _without(message.headers, HEADERS_OF_THE_BROKER - {DELIVERY_COUNT})
        message.properties["application_headers"] = message.headers


def _without(parts: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if name not in names}
