"""One request to an endpoint that speaks HTTP in its own way, and what came of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpcore
import pytest

from webhooks import destinations
from webhooks.destinations import Guard, networks_of
from webhooks.posting import Poster

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from webhooks.judging import Answer

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
TIMEOUT_SECONDS = 1.0


async def take(writer: asyncio.StreamWriter) -> None:
    """Take what was sent."""
    writer.write(OK)


async def answer_and_never_end(writer: asyncio.StreamWriter) -> None:
    """Say shortly before it is too late that it was taken, and go on for ever."""
    await asyncio.sleep(TIMEOUT_SECONDS / 2)
    writer.write(OK.replace(b"0\r\n\r\n", b"9999999\r\n\r\n"))
    while True:
        writer.write(b"x")
        await asyncio.sleep(TIMEOUT_SECONDS / 20)


async def say_hints_for_ever(writer: asyncio.StreamWriter) -> None:
    """Give no answer, again and again."""
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
        await asyncio.sleep(TIMEOUT_SECONDS / 20)


async def trickle(writer: asyncio.StreamWriter) -> None:
    """Give an answer, a byte at a time."""
    for byte in OK:
        writer.write(bytes([byte]))
        await asyncio.sleep(TIMEOUT_SECONDS / 20)


@pytest.mark.parametrize(
    ("behave", "scheme", "status"),
    [
        pytest.param(take, "http", 200, id="at once"),
        pytest.param(take, "HTTP", 200, id="a scheme in capitals"),
        pytest.param(answer_and_never_end, "http", 200, id="late, and without an end"),
        pytest.param(say_hints_for_ever, "http", None, id="hints only"),
        pytest.param(trickle, "http", None, id="a byte at a time"),
    ],
)
def test_whatever_it_does_is_an_answer_in_time(
    behave: Callable[[asyncio.StreamWriter], Awaitable[None]], scheme: str, status: int | None
) -> None:
    """Its status as soon as it has said one, however it goes on."""
    answer = asyncio.run(post(behave, f"{scheme}://127.0.0.1"))
    assert answer.status == status


def test_an_address_that_never_answers_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where a name has one of IPv6, and no way leads there."""
    monkeypatch.setattr(destinations, "_look_up", lambda *_: ["127.0.0.2", "127.0.0.1"])
    connect = httpcore.AnyIOBackend.connect_tcp

    async def connect_or_hang(
        self: Any, host: str, port: int, seconds: float | None, *rest: Any
    ) -> object:
        if host == "127.0.0.2":
            try:
                await asyncio.wait_for(asyncio.Event().wait(), seconds)
            except TimeoutError as error:
                raise httpcore.ConnectTimeout from error
        return await connect(self, host, port, seconds, *rest)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect_or_hang)
    assert asyncio.run(post(take, "http://endpoint.example")).status == 200


async def post(behave: Callable[[asyncio.StreamWriter], Awaitable[None]], origin: str) -> Answer:
    """Post something to an endpoint that behaves in some way."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await behave(writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    guard = Guard(networks_of("127.0.0.0/8"), lookups=1)
    poster = Poster(guard, connections=1, timeout_seconds=TIMEOUT_SECONDS)
    try:
        return await poster.post(f"{origin}:{port}/", {}, "x")
    finally:
        await poster.close()
        server.close()
