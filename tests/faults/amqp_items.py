"""Items of a queue in Redis, as messages of RabbitMQ: as far as AMQP can say what is in them."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import amqp
from amqp.exceptions import AMQPError

from settle_client.names import QUEUE
from tests.amqp_properties import unreadable, writing_deeply, written

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.faults.hostile import Case

FRAME_BYTES = 100_000
# RabbitMQ closes the channel of who publishes another delivery mode than its two.
PROPERTIES = ("correlation_id", "reply_to", "priority", "type", "timestamp")


def publish(url: str, cases: Sequence[Case]) -> list[Case]:
    """Publish items, each with what can be said of it, and return those that RabbitMQ takes.

    Of some it makes an error of its own, with which it closes the connection.
    """
    taken: list[Case] = []
    left = list(cases)
    while left:
        with suppress(AMQPError), _channel(url) as channel:
            while left:
                case = left.pop(0)
                message = _message(*_parts(case))
                with writing_deeply():
                    channel.basic_publish(message, routing_key=QUEUE)
                taken.append(case)
    return taken


def publish_unreadable(url: str, body: str) -> int:
    """Publish messages that py-amqp cannot read, and return how many they are."""
    with _channel(url) as channel, writing_deeply():
        for properties in unreadable():
            channel.basic_publish(amqp.Message(body, **properties), routing_key=QUEUE)
    return len(unreadable())


@contextmanager
def _channel(url: str) -> Iterator[Any]:
    host = url.rpartition("@")[2].strip("/")
    with amqp.Connection(host, confirm_publish=True) as connection:
        yield connection.channel()


def _parts(case: Case) -> tuple[bytes, dict[str, Any]]:
    try:
        item = json.loads(case.item)
        properties = {name: item["properties"].get(name) for name in PROPERTIES}
    except (ValueError, TypeError, KeyError, RecursionError):
        return case.item, {}
    body = item.get("body")
    try:
        body = base64.b64decode(body)
    except (ValueError, TypeError):
        body = json.dumps(body).encode()
    parts = {
        name: item.get(name.replace("_", "-")) for name in ("content_type", "content_encoding")
    }
    return body, {**properties, **parts, "application_headers": item.get("headers")}


def _message(body: bytes, properties: dict[str, Any]) -> amqp.Message:
    """Make a message of which every property can be written, and leave out the others."""
    message = amqp.Message(body)
    for name, said in properties.items():
        part = _headers(said) if name == "application_headers" else said
        if part is not None and _can_be_written(name, part):
            message.properties[name] = part
    return message


def _headers(said: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, it in said.items() if isinstance(said, dict) else ():
        if _can_be_written("application_headers", {**kept, name: it}):
            kept[name] = it
    return kept


def _can_be_written(name: str, said: Any) -> bool:
    try:
        return len(written({name: said})) < FRAME_BYTES
    except Exception:  # noqa: BLE001 - whatever AMQP cannot say
        return False
