"""How long the head of a request may be, and a client that sends no more: byte by byte."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from gateway.terms import BATCH, MAX_HEAD_BYTES

if TYPE_CHECKING:
    from tests.gateway import Gateway

TIMES = 5
UPDATES = json.dumps([{"id": "ev_1", "status": "completed"}])
WITH_BODY = f"PATCH {BATCH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BEFORE = {
    "first": "",
    "behind a head": "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "behind a body": f"{WITH_BODY}Content-Length: {len(UPDATES)}\r\n\r\n{UPDATES}",
    "behind chunks": f"{WITH_BODY}Transfer-Encoding: chunked\r\n\r\n"
    f"{len(UPDATES):x}\r\n{UPDATES}\r\n0\r\n\r\n",
}


@pytest.fixture(name="gateway")
def shared_gateway(lasting_gateway: Gateway) -> Gateway:
    """Give a gateway that all tests here share."""
    return lasting_gateway


def head_of(size: int) -> str:
    """Return a head of so many bytes, of some long fields."""
    start = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    while size - len(start) > 20_000:
        start += f"a: {'x' * 9_995}\r\n"
    return f"{start}a: {'x' * (size - len(start) - 7)}\r\n\r\n"


def ask(gateway: Gateway, sent: str, *, cut_at: int = 0, shut: bool = False) -> list[str]:
    """Send something, and return the status of each answer."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client:
        answer = b""
        # A client that is refused may still be sending.
        with suppress(ConnectionError):
            for part in filter(None, (sent[:cut_at], sent[cut_at:])):
                client.sendall(part.encode())
            if shut:
                client.shutdown(socket.SHUT_WR)
            while some := client.recv(65_536):
                answer += some
    return [part[:3].decode() for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("size", [MAX_HEAD_BYTES - 1, MAX_HEAD_BYTES])
def test_a_head_within_the_bound_is_served(gateway: Gateway, before: str, size: int) -> None:
    """To its last byte, wherever it begins."""
    sent = before + head_of(size)
    assert len(sent) == len(before) + size
    for cut_at in (0, len(before) + 1, len(sent) - 1):
        assert ask(gateway, sent, cut_at=cut_at)[-1] == "200"


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("size", [MAX_HEAD_BYTES + 1, 100_000, 200_000, 300_000])
def test_a_longer_head_is_refused(gateway: Gateway, before: str, size: int) -> None:
    """Always, also if all of it is there at once; never is it served."""
    for number in range(TIMES):
        answers = ask(gateway, before + head_of(size), cut_at=number and len(before) + 1)
        # What was asked before may be cut off, and a client that still sends hears nothing.
        assert answers[-1:] in (["431"], []) if before or size > 200_000 else answers == ["431"]
        assert answers.count("200") <= bool(before)


@pytest.mark.parametrize("before", [text for text in BEFORE.values() if text])
def test_a_client_that_sends_no_more_is_answered(gateway: Gateway, before: str) -> None:
    """It has shut its sending side behind a whole request; then the connection is closed."""
    assert ask(gateway, before, shut=True) == ["200"]
    assert ask(gateway, before * 3, shut=True) == ["200"] * 3


def test_a_client_that_stops_in_the_middle_gets_no_answer(gateway: Gateway) -> None:
    """There is nothing to answer, and nobody waits for more."""
    for sent in (BEFORE["behind a head"][:-2], BEFORE["behind a body"][:-1], ""):
        assert ask(gateway, sent, shut=True) == []
