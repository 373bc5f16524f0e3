"""What an item of kombu's on Redis is, as it goes back to a queue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from worker.transport.redis.items import redelivered

ITEM: dict[str, Any] = {
    "body": "W10=",
    "headers": {"task": "events.update_status", "id": "m"},
    "properties": {"delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": "q"}},
}


def with_delivery_info(info: Any) -> bytes:
    """Return an item with something in the place of its delivery's details."""
    return json.dumps(ITEM | {"properties": {"delivery_tag": "t", "delivery_info": info}}).encode()


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (with_delivery_info({"routing_key": "q"}), {"routing_key": "q", "redelivered": True}),
        (with_delivery_info(None), {"redelivered": True}),
        (json.dumps(ITEM | {"properties": {"delivery_tag": "t"}}).encode(), {"redelivered": True}),
    ],
    ids=["details", "none", "no such field"],
)
def test_what_goes_back_says_so_in_both_places(item: bytes, expected: dict[str, Any]) -> None:
    """In its header, and in the details of its delivery, which it has from then on."""
    written, message = redelivered(item, deaths=None)
    assert json.loads(written) == message
    assert message["headers"]["redelivered"] is True
    assert message["properties"] == {"delivery_tag": "t", "delivery_info": expected}
    assert "x-delivery-count" not in message["headers"]


def test_what_a_worker_died_with_is_counted() -> None:
    """First of all headers, where the scripts look for it."""
    written, message = redelivered(json.dumps(ITEM).encode(), deaths=1)
    assert message["headers"]["x-delivery-count"] == 1
    again, _ = redelivered(written, deaths=2)
    assert json.loads(again)["headers"]["x-delivery-count"] == 3
    assert again.startswith(b'{"headers": {"x-delivery-count": 3')


def test_what_is_no_message_goes_back_as_it_is() -> None:
    """The fetch sets it aside."""
    assert redelivered(b"no message", deaths=1) == (b"no message", {})
