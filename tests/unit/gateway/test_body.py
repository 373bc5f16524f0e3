"""Bodies, read within bounds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from gateway.requests import body
from gateway.requests.body import Reader

if TYPE_CHECKING:
    from starlette.types import Message

OURS, THEIRS = frozenset({"ours"}), frozenset({"theirs"})


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
    return asyncio.run(reader.read(asked, None))


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
    assert refused.value.detail == "the body is larger than 9 bytes: send fewer updates at once"
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
    """Whoever has their part of the room, and comes while others are still being read, may not."""
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
        reading = asyncio.create_task(reader.read(first, OURS))
        await asyncio.sleep(0)
        with pytest.raises(HTTPException, match="too many updates wait"):
            await reader.read(request(b"x" * 3), OURS)
        # Who has less than a part of the room has some left.
        assert await reader.read(request(b"x" * 3), THEIRS) == b"xxx"
        with pytest.raises(HTTPException, match="too many updates wait"):
            await reader.read(request(b"x" * 6), THEIRS)
        come.set()
        assert await reading == b"x" * 8
        assert await reader.read(request(b"x" * 3), OURS) == b"xxx"

    asyncio.run(both())
