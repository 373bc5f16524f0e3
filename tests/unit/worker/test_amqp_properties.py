"""The properties of a message of RabbitMQ's, also where py-amqp cannot read them."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest
from amqp.serialization import dumps

from tests.amqp_properties import unreadable, written
from worker.transport.delivery import UNREADABLE
from worker.transport.rabbitmq.properties import read, read_arguments


def test_what_can_be_read_is_as_py_amqp_has_it() -> None:
    """Nothing is added, nothing is left out."""
    properties = {"content_type": "application/json", "application_headers": {"id": "m"}}
    frame = written(properties)
    assert read(frame, 0) == (properties, len(frame))


@pytest.mark.parametrize("properties", unreadable(), ids=["deep", "far away", "no text"])
def test_what_cannot_be_read_is_kept_as_it_came(properties: dict[str, Any]) -> None:
    """With the reason why, and nothing of it by which it could be taken for another."""
    frame = written(properties)
    kept, end = read(frame, 0)
    assert list(kept) == ["application_headers"]
    assert ": " in kept["application_headers"][UNREADABLE]
    assert b64decode(kept["application_headers"]["base64"]) == frame
    assert end == len(frame)


@pytest.mark.parametrize(
    ("routing_key", "text"),
    [(b"a.b", "a.b"), ("ä".encode(), "ä"), (b"\xff\xfe.b", "\\xff\\xfe.b")],
    ids=["ASCII", "UTF-8", "no text"],
)
def test_the_way_of_a_message_is_read_whatever_it_is(routing_key: bytes, text: str) -> None:
    """What stands beside it is as it was."""
    delivered = "consumer", 7, True, "exchange", routing_key
    frame = b"head" + dumps("sLbss", delivered)
    assert read_arguments("sLbss", frame, 4) == ([*delivered[:-1], text], len(frame))
