"""Bodies: read within bounds, and understood or refused."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from worker.gateway import body
from worker.gateway.body import Reader, understand

if TYPE_CHECKING:
    from starlette.types import Message

GOOD = {"id": "ev_1", "status": "completed"}


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(GOOD),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
@example(b"[" * 100_000)
@example(b"[" * 100_000 + b"]" * 100_000)
@example(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
@example(b"1" * 10_000)
@example(b"[1e999999]")
@example(b"[NaN]")
@example(b'[{"id": "\\ud800", "status": "completed"}]')
@example(b'[{"id": "a", "status": "completed", "payload": "\\ud800"}]')
@example(b'[{"\\ud800": 1}]')
@example(b"\xef\xbb\xbf[]")
@example('[{"id": "é", "status": "failed"}]'.encode("utf-16"))
def test_any_bytes_are_understood_or_refused(text: bytes) -> None:
    """Updates or 400 with one line that can be sent; nothing else gets out."""
    try:
        updates = understand(text, max_updates=10)
    except HTTPException as error:
        refused = error
    else:
        assert 1 <= len(updates) <= 10
        assert all(1 <= len(update.id) <= 255 for update in updates)
        return
    assert refused.status_code == 400
    assert refused.detail.encode()
    assert "\n" not in refused.detail


def test_updates_are_understood_in_order() -> None:
    """What else an event has is ignored."""
    updates = understand(
        json.dumps([GOOD, {**GOOD, "id": "ev_2", "accountId": "a", "payload": {"x": 1}}]).encode(),
        max_updates=2,
    )
    assert [(one.id, one.account_id) for one in updates] == [("ev_1", None), ("ev_2", "a")]


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        pytest.param("", "the body is not JSON", id="nothing"),
        pytest.param("{]", "the body is not JSON", id="no JSON"),
        pytest.param("[NaN]", "the body is not JSON", id="NaN"),
        pytest.param(GOOD, "the body must be an array", id="an object"),
        pytest.param([], "1 to 3 updates, this one 0", id="empty"),
        pytest.param([GOOD] * 4, "1 to 3 updates, this one 4", id="too many"),
        pytest.param([GOOD, 7], "[1]: must be an object", id="a number"),
        pytest.param([{"status": "failed"}], "[0].id: is required", id="no id"),
        pytest.param([{"id": "a"}], "[0].status: is required", id="no status"),
        pytest.param([{**GOOD, "id": ""}], "[0].id: must have at least 1 character", id="empty id"),
        pytest.param([{**GOOD, "id": "x" * 256}], "[0].id: must have at most 255", id="long id"),
        pytest.param([{**GOOD, "id": 7}], "[0].id: must be a valid string, got 7", id="number id"),
        pytest.param([{**GOOD, "id": "a\0"}], "[0].id: contains NUL", id="NUL"),
        pytest.param('[{"id": "\\ud800", "status": "failed"}]', "[0].id: ", id="surrogate"),
        pytest.param(
            [GOOD, GOOD, {**GOOD, "status": "done"}],
            "[2].status: must be 'completed' or 'failed', got 'done'",
            id="status",
        ),
        pytest.param([{**GOOD, "accountId": 7}], "[0].accountId: must be", id="account"),
    ],
)
def test_what_is_not_valid_is_named(sent: Any, told: str) -> None:
    """The element, the field, what it should be, what it was."""
    text = sent if isinstance(sent, str) else json.dumps(sent)
    with pytest.raises(HTTPException) as refused:
        understand(text.encode(), max_updates=3)
    assert refused.value.status_code == 400
    assert told in refused.value.detail


# -- reading ------------------------------------------------------------------------------------


def request(*chunks: bytes, left: bool = False, **headers: str) -> Request:
    """Make a request that comes in chunks."""
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    messages.append({"type": "http.disconnect"} if left else {"type": "http.request", "body": b""})

    async def receive() -> Message:
        return messages.pop(0)

    headers = {"content_type": "application/json", **headers}
    raw = [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in headers.items()
        if value
    ]
    return Request({"type": "http", "method": "PATCH", "headers": raw}, receive)


def read(reader: Reader, asked: Request) -> bytes:
    """Read its body."""
    return asyncio.run(reader.read(asked))


def test_a_body_may_be_as_large_as_is_allowed() -> None:
    """And comes in any number of chunks."""
    assert read(Reader(6), request(b"[1,", b"", b"2]")) == b"[1,2]"
    assert read(Reader(5), request(b"[1,2]", content_length="5")) == b"[1,2]"


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/jsonp", "application/x-www-form-urlencoded"]
)
def test_another_content_type_is_refused(content_type: str) -> None:
    """Unread."""
    with pytest.raises(HTTPException) as refused:
        read(Reader(9), request(b"[]", content_type=content_type))
    assert refused.value.status_code == 415


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"]
)
def test_json_is_known_by_any_spelling(content_type: str) -> None:
    """Parameters do not matter."""
    assert read(Reader(9), request(b"[]", content_type=content_type)) == b"[]"


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(request(content_length="10"), id="declared"),
        pytest.param(request(b"x" * 5, b"x" * 5), id="sent"),
    ],
)
def test_a_body_that_is_too_large_is_refused(asked: Request) -> None:
    """Before it is read, where it says so itself."""
    reader = Reader(9)
    with pytest.raises(HTTPException) as refused:
        read(reader, asked)
    assert refused.value.status_code == 413
    assert refused.value.detail == "the body is 10 bytes or more, and may be 9"
    assert read(reader, request(b"[]")) == b"[]"


def test_a_client_that_leaves_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was held of it counts no more, and neither does what was refused."""
    monkeypatch.setattr(body, "MAX_HELD_BYTES", 10)
    reader = Reader(100)
    for _ in range(3):
        with pytest.raises(ClientDisconnect):
            read(reader, request(b"x" * 9, left=True))
        with pytest.raises(HTTPException) as refused:
            read(reader, request(b"x" * 11))
        assert refused.value.status_code == 503
        assert refused.value.headers == {"Retry-After": "1"}
    assert read(reader, request(b"x" * 10)) == b"x" * 10


def test_all_bodies_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes while the others are still being read is asked to come again."""
    monkeypatch.setattr(body, "MAX_HELD_BYTES", 10)
    reader = Reader(100)

    async def both() -> None:
        come = asyncio.Event()

        async def slowly() -> Message:
            await come.wait()
            return {"type": "http.request", "body": b""}

        first = request(b"x" * 8)
        quick = first.receive

        async def receive() -> Message:
            message = await quick()
            return message if message["body"] else await slowly()

        first._receive = receive
        reading = asyncio.create_task(reader.read(first))
        await asyncio.sleep(0)
        with pytest.raises(HTTPException, match="too much at once"):
            await reader.read(request(b"x" * 3))
        come.set()
        assert await reading == b"x" * 8
        assert await reader.read(request(b"x" * 3)) == b"xxx"

    asyncio.run(both())
