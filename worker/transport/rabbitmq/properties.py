"""A message whose properties py-amqp cannot read is delivered without them.

py-amqp reads them while it reads frames: what it raises there ends the connection, and
the worker with it, whenever that message is delivered. Headers that are nested too deep,
texts that are not UTF-8 and times beyond the year 9999 do it, and RabbitMQ takes them
all. The message is refused later, like any other that is not understood.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from amqp import serialization
from amqp.serialization import decode_properties_basic
from amqp.spec import Basic

from worker.transport.delivery import UNREADABLE


def install() -> None:
    """Let py-amqp read on in this process, whatever a message's properties are."""
    serialization.PROPERTY_CLASSES[Basic.CLASS_ID] = read


def read(buffer: bytes, offset: int) -> tuple[dict[str, Any], int]:
    """Read the properties of a message, as py-amqp has them; raises nothing.

    Args:
        buffer: A frame, whose rest they are.
        offset: Where they begin.
    """
    try:
        return decode_properties_basic(buffer, offset)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the message's
        as_they_came = b64encode(bytes(buffer[offset:])).decode()
        headers = {UNREADABLE: f"{type(error).__name__}: {error}", "base64": as_they_came}
        return {"application_headers": headers}, len(buffer)
