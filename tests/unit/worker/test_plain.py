"""Which messages are plain, and that nothing else is taken for one."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settle_client.envelope import bulk, single
from settle_client.update import StatusUpdate
from tasks.density import MAX_VALUES
from tasks.messages import validate
from tests.items import fetched
from tests.json_values import BODIES, JSON
from worker.transport.delivery import DELIVERY_COUNT, Received
from worker.transport.redis.items import (
    NotAMessageError,
    delivery_count,
    read_item,
    redelivered,
)
from worker.understanding.other import receive
from worker.understanding.plain import read_plain

if TYPE_CHECKING:
    from worker.held import Held

UPDATE = {"id": "ev_1", "status": "completed"}


def item(*, body: Any = None, **parts: Any) -> bytes:
    """Write an item as a stock client does, with some parts of it changed; None removes one."""
    update = validate(UPDATE)
    assert isinstance(update, StatusUpdate)
    message = json.loads(single(update).item())
    if body is not None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        message["body"] = b64encode(text).decode()
    for name, changes in parts.items():
        if isinstance(changes, dict):
            message[name].update(changes)
        else:
            message[name] = changes
    return json.dumps(message).encode()


def read(raw: bytes) -> Held | None:
    """Read it."""
    return read_plain(fetched(raw), max_updates=10)


def test_what_stock_clients_send_is_plain() -> None:
    """One update, or several together."""
    update = validate({**UPDATE, "accountId": "acct_9"})
    assert isinstance(update, StatusUpdate)
    for envelope in (single(update), bulk([update] * 3)):
        plain = read(envelope.item())
        assert plain is not None
        assert plain.message == (envelope.message_id, (update,) * envelope.update_count)
        assert not plain.wants_result
        assert plain.details == {
            "queue": "event-status-updates",
            "exchange": "",
            "redelivered": False,
            "deliveriesToDeadWorkers": 0,
        }


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(item(headers={"eta": "2030-01-01T00:00:00+00:00"}), id="delayed"),
        pytest.param(item(headers={"expires": "2030-01-01T00:00:00+00:00"}), id="expires"),
        pytest.param(item(headers={"stamped_headers": ["a"]}), id="stamped"),
        pytest.param(item(headers={"compression": "application/x-gzip"}), id="compressed"),
        pytest.param(item(headers={"redelivered": True}), id="redelivered"),
        pytest.param(item(headers={DELIVERY_COUNT: 1}), id="was with a dead worker"),
        pytest.param(item(headers={"task": "other.task"}), id="another task"),
        pytest.param(item(headers={"task": None}), id="no task"),
        pytest.param(item(headers={"id": 7}), id="an id that is no text"),
        pytest.param(item(headers={"id": ""}), id="no id"),
        pytest.param(item(headers={"id": "a\0b"}), id="an id that cannot be stored"),
        pytest.param(item(headers=None), id="no headers"),
        pytest.param(item(**{"content-type": "application/x-python-serialize"}), id="a pickle"),
        pytest.param(item(**{"content-encoding": "latin-1"}), id="another encoding"),
        pytest.param(item(properties={"body_encoding": None}), id="not in base 64"),
        pytest.param(item(properties={"delivery_tag": ""}), id="no delivery tag"),
        pytest.param(item(properties={"delivery_info": None}), id="no delivery details"),
        pytest.param(item(body=b"not JSON"), id="a body that is not JSON"),
        pytest.param(item(body=[[], {}]), id="a body of two"),
        pytest.param(item(body=[[], {"id": "ev_1", "status": "done"}, {}]), id="not valid"),
        pytest.param(item(body=[[[UPDATE] * 11], {}, {}]), id="too many updates"),
        pytest.param(item(body=[[[UPDATE, {"id": ""}]], {}, {}]), id="one of two not valid"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"42", id="a number"),
        pytest.param(b"[" * 100_000, id="too deep"),
        pytest.param(item() + b" " * 12 * 2**20, id="too large"),
    ],
)
def test_whatever_asks_for_more_is_not_plain(raw: bytes) -> None:
    """It goes the long way, which answers it."""
    assert read(raw) is None


class Delivered:
    """What kombu makes of an item."""

    def __init__(self, message: dict[str, Any]) -> None:
        self.headers, self.properties = message["headers"], message["properties"]
        self.content_type, self.content_encoding = message["content-type"], "utf-8"
        self.body, self.delivery_info = message["body"], self.properties["delivery_info"]


def with_header(value: bytes) -> bytes:
    """Write an item with a header that is ignored, as text."""
    return item(headers={"shadow": "@"}).replace(b'"@"', value)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(with_header(b"9" * 5_000), id="a number of 5,000 digits"),
        pytest.param(with_header(b"-1" + b"0" * 5_000), id="a negative one"),
        pytest.param(with_header(b"[" * 900 + b"]" * 900), id="nested"),
        pytest.param(with_header(b'{"":' * 900 + b"1" + b"}" * 900), id="objects, nested"),
        pytest.param(with_header(b'"\xff\xfe"'), id="not UTF-8"),
        pytest.param(with_header(b"[" + b"1," * MAX_VALUES + b"1]"), id="of many values"),
    ],
)
def test_what_could_not_be_counted_is_not_plain(raw: bytes) -> None:
    """If it kills its workers it must be set aside: that is read and written anew each time."""
    assert read(raw) is None


@given(value=JSON, digits=st.integers(0, 6_000), depth=st.integers(0, 1_200))
@settings(deadline=None)
def test_what_is_plain_can_be_counted(value: Any, digits: int, depth: int) -> None:
    """Whatever it carries that is ignored."""
    text = b"[" * depth + json.dumps(value).encode() + b"9" * digits + b"]" * depth
    raw = with_header(text)
    if read(raw) is not None:
        again, _ = redelivered(raw, deaths=1)
        assert delivery_count(read_item(again)) == 1


@given(body=BODIES, headers=st.dictionaries(st.sampled_from(["eta", "id", "shadow"]), JSON))
def test_what_is_plain_is_understood_as_the_long_way_does(body: Any, headers: Any) -> None:
    """The same message, whatever it may be."""
    text = json.dumps(body).encode()
    raw = item(body=text, headers=headers)
    plain = read(raw)
    if plain is None:
        return
    message = read_item(raw)
    message["body"] = text
    assert receive(Received(Delivered(message)), max_updates=10) == plain.message


def test_how_a_message_came_is_described_alike_whichever_way_it_was_read() -> None:
    """Queue and exchange, as a dead letter will have them."""
    raw = item(properties={"delivery_info": {"exchange": "upstream", "routing_key": "q"}})
    plain = read(raw)
    assert plain is not None
    assert plain.details == Received(Delivered(read_item(raw))).details()
    assert (plain.details["queue"], plain.details["exchange"]) == ("q", "upstream")


@given(raw=st.binary(max_size=50) | st.text(max_size=50).map(str.encode))
def test_rubbish_is_never_plain(raw: bytes) -> None:
    """And raises nothing."""
    assert read(raw) is None
    with pytest.raises(NotAMessageError):
        read_item(raw)
