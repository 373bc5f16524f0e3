"""A message of which py-amqp cannot read everything is delivered without the rest.

py-amqp reads them while it reads frames: what it raises there ends the connection, and
the worker with it, whenever that message is delivered. Headers that are nested too deep,
texts that are not UTF-8 and times beyond the year 9999 do it, and RabbitMQ takes them
all. The message is refused later, like any other that is not understood. By which exchange
and routing key it came is read as text whatever it is: nothing is decided by that.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from amqp import abstract_channel, serialization
from amqp.serialization import decode_properties_basic, loads
from amqp.spec import Basic

from worker.transport.delivery import UNREADABLE


def install() -> None:
    """Let py-amqp read on in this process, whatever a message's properties and way are."""
    serialization.PROPERTY_CLASSES[Basic.CLASS_ID] = read
    abstract_channel.loads = read_arguments


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


def text_of(raw: bytes) -> str:
    """Return bytes as text; what is not UTF-8 as it is escaped in a literal."""
    return raw.decode(errors="backslashreplace")


class _AnyText(bytes):
    """Bytes that are text, whatever they are."""

    __slots__ = ()

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _AnyText(found) if isinstance(found, bytes) else found

    def decode(self, *_: Any) -> str:
        """Return it as `text_of` does."""
        return text_of(bytes(self))


def read_arguments(format_: str, buffer: bytes, offset: int) -> tuple[list[Any], int]:
    """Read the arguments of an AMQP method, as py-amqp has them.

    Args:
        format_: A letter for the type of each.
        buffer: A frame.
        offset: Where they begin.
    """
    try:
        return loads(format_, buffer, offset)
    except UnicodeDecodeError:
        return loads(format_, _AnyText(buffer), offset)
