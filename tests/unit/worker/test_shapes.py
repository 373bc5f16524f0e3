"""The few headers that are needed, read from encoded properties."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from amqp.basic_message import Message
from hypothesis import given
from hypothesis import strategies as st

from settle_client.names import TASK
from worker.transport.delivery import DELIVERY_COUNT, Headers, Shown
from worker.transport.rabbitmq.properties import read
from worker.transport.rabbitmq.shapes import MOST_LENGTHS, MOST_OF_A_LENGTH, Shapes

STOCK: dict[str, Any] = {
    "lang": "py",
    "task": TASK,
    "shadow": None,
    "eta": None,
    "expires": None,
    "retries": 0,
    "timelimit": [None, None],
    "argsrepr": "()",
    "ignore_result": True,
    "stamped_headers": None,
    "stamps": {},
    "origin": "gen7@host",
    "parent_id": None,
}
JSON = {"content_type": "application/json", "content_encoding": "utf-8"}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.decimals(-9, 9, places=2),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3)
    ),
    max_leaves=5,
)
NAMES = st.sampled_from([*Headers.__struct_fields__[:-1], DELIVERY_COUNT, "root_id", "lang", "a"])
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "delivery_mode": st.integers(1, 2),
        "priority": st.integers(0, 9),
        "correlation_id": st.text(max_size=4),
        "reply_to": st.text(max_size=4),
        "expiration": st.just("1000"),
        "timestamp": st.integers(0, 2**31),
        "app_id": st.text(max_size=4),
    },
)


def write(headers: dict[str, Any], **properties: Any) -> bytes:
    """Encode properties as py-amqp does."""
    written: bytes = Message(
        application_headers=headers, **{**JSON, **properties}
    )._serialize_properties()
    return written


def needed(properties: bytes) -> dict[str, Any]:
    """Return what py-amqp reads of the headers that are needed."""
    headers = read(properties, 0)[0]["application_headers"]
    return {field.name: headers.get(field.encode_name) for field in msgspec.structs.fields(Headers)}


def test_what_differs_in_ids_and_texts_of_one_length_is_of_one_shape() -> None:
    """It is walked through once, and each is read as it is."""
    shapes = Shapes(Shown)
    for number in range(100, 200):
        names = {"id": f"m{number}", "root_id": f"r{number}", "kwargsrepr": f"{{'id': {number}}}"}
        found = shapes.read(write({**STOCK, **names, "retries": 0}, correlation_id=f"m{number}"))
        assert isinstance(found, Shown)
        assert (found.task, found.id, found.ignore_result) == (TASK, f"m{number}", True)
        assert (bytes(found.root_id), bytes(found.kwargsrepr)) == (
            f'"r{number}"'.encode(),
            f"\"{{'id': {number}}}\"".encode(),
        )
        assert bytes(found.retries) == b"0"
    assert [len(alike) for alike in shapes._by_length.values()] == [1]


@given(
    headers=st.lists(st.dictionaries(NAMES, VALUES, max_size=5), min_size=1, max_size=4),
    properties=PROPERTIES,
)
def test_whatever_is_read_is_what_py_amqp_reads(
    headers: list[dict[str, Any]], properties: dict[str, Any]
) -> None:
    """Of one after the other, also where they are of one length and not of one shape."""
    shapes = Shapes(Headers)
    for some in headers:
        written = write({**STOCK, "id": "m", **some}, **properties)
        try:
            found = shapes.read(written)
        except ValueError:
            continue
        assert msgspec.structs.asdict(found) == needed(written)


@pytest.mark.parametrize("name", sorted(set(Headers.__struct_fields__) - {"task", "id"}))
def test_a_header_that_decides_is_never_overlooked(name: str) -> None:
    """Though the others were like it but for that one."""
    name = DELIVERY_COUNT if name == "deliveries" else name
    shapes = Shapes(Headers)
    for value in (0, 1, Decimal(1), "", "x", "y", True, False, None, [], ["a"], {}, {"a": 1}):
        written = write({**STOCK, "id": "m", name: value})
        assert msgspec.structs.asdict(shapes.read(written)) == needed(written)


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param(write({**STOCK, "id": "m"}, content_type="text/plain"), id="not JSON"),
        pytest.param(write({**STOCK, "id": "m"}, content_encoding="latin-1"), id="not UTF-8"),
        pytest.param(write({**STOCK, "id": 7}), id="an id that is no text"),
        pytest.param(write({**STOCK, "task": None, "id": "m"}), id="no task"),
        pytest.param(write(STOCK), id="no id"),
        pytest.param(Message(**JSON)._serialize_properties(), id="no headers"),
        pytest.param(write({**STOCK, "id": "m"}) + b"more", id="more than they say"),
        pytest.param(write({**STOCK, "id": "m"})[:-3], id="less than they say"),
        pytest.param(b"\xff\xff" + write({**STOCK, "id": "m"})[2:], id="more flags"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_no_stock_client_sends_is_of_no_shape(properties: bytes) -> None:
    """It goes by way of py-amqp."""
    with pytest.raises(ValueError, match=r".+"):
        Shapes(Headers).read(properties)


def test_a_name_that_stands_there_twice_is_of_no_shape() -> None:
    """Readers differ in which of the two they mean."""
    written = write({**STOCK, "id": "m", "ie": "n"}).replace(b"\x02ieS", b"\x02idS")
    with pytest.raises(ValueError, match="twice"):
        Shapes(Headers).read(written)


def test_a_text_that_is_not_utf_8_is_no_text() -> None:
    """Also where those before were."""
    shapes = Shapes(Headers)
    written = write({**STOCK, "id": "abc"})
    shapes.read(written)
    with pytest.raises(ValueError, match="utf-8"):
        shapes.read(written.replace(b"abc", b"\xff\xfe\xfd"))


def test_no_more_shapes_are_remembered_than_is_worth_it() -> None:
    """However odd the messages are."""
    shapes = Shapes(Headers)
    for number in range(2 * MOST_LENGTHS):
        shapes.read(write({**STOCK, "id": "x" * (number + 1)}))
    for number in range(3 * MOST_OF_A_LENGTH):
        shapes.read(write({**STOCK, "id": "m", f"other{number:02}": None}))
    assert len(shapes._by_length) <= MOST_LENGTHS + 1
    assert max(map(len, shapes._by_length.values())) == MOST_OF_A_LENGTH
