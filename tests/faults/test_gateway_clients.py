"""Many clients, and slow ones."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.gateway import BATCH, Gateway, Gateways, path_of
from tests.service import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.rig import Rig

CONNECTIONS = 1_000
SLOW_OF_EACH_KIND = 20
BIG = 4 * 2**20

HEAD = (
    f"PATCH {BATCH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Content-Length: {}\r\n\r\n"
)


@contextmanager
def open_files(count: int) -> Iterator[None]:
    """Let this process, and those that it starts meanwhile, have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_connections(unloaded_rig: Rig, gateways: Gateways) -> None:
    """All open before the first asks; all are answered, though it was let open fewer files."""
    ids = [f"ev_{number}" for number in range(CONNECTIONS)]
    unloaded_rig.service.load(*ids)
    with open_files(CONNECTIONS // 2):
        gateway = gateways.start()

    async def ask_all() -> list[tuple[bytes, bytes]]:
        connections = [
            await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(CONNECTIONS)
        ]
        for id_, (_, writer) in zip(ids, connections, strict=True):
            body = json.dumps([{"id": id_, "status": "completed"}])
            writer.write((HEAD.format(len(body)) + body).encode())
        answers = [await _read_answer(reader) for reader, _ in connections]
        for _, writer in connections:
            writer.close()
            await writer.wait_closed()
        return answers

    with open_files(CONNECTIONS * 2):
        answers = asyncio.run(asyncio.wait_for(ask_all(), PATIENCE_SECONDS))
    assert {status for status, _ in answers} == {b"HTTP/1.1 200 OK"}
    outcomes = [json.loads(body) for _, body in answers]
    assert [(one["id"], one["updated"]) for (one,) in outcomes] == [(id_, True) for id_ in ids]
    assert unloaded_rig.service.channel.xlen("event-outcomes") == CONNECTIONS
    assert gateway.stop() == 0


async def _read_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status, *headers = head.lower().split(b"\r\n")
    (size,) = (int(one.partition(b":")[2]) for one in headers if one.startswith(b"content-length"))
    return head[: len(status)], await reader.readexactly(size)


@pytest.fixture
def gateway(unloaded_rig: Rig, gateways: Gateways) -> Gateway:
    """Give a gateway that soon loses its patience, and two events, one of them large."""
    service = unloaded_rig.service
    service.load("ev_1", "big")
    with service.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE events SET payload = jsonb_build_object('a', repeat('x', %s)) WHERE id = 'big'",
            (BIG,),
        )
    return gateways.start(module="tests.faults.impatient_gateway")


def connect(gateway: Gateway, text: str = "") -> socket.socket:
    """Open a connection whose client hardly has room for what comes, and send something."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.settimeout(PATIENCE_SECONDS)
    client.connect(("127.0.0.1", gateway.port))
    client.sendall(text.encode())
    return client


def read_all(client: socket.socket) -> bytes:
    """Read until the other side closes."""
    received = b""
    with suppress(ConnectionError):
        while chunk := client.recv(65_536):
            received += chunk
    client.close()
    return received


def check_others_are_served(gateway: Gateway) -> None:
    """Check that whoever is quick is."""
    for _ in range(10):
        assert gateway.get("ev_1").status == 200
        assert gateway.patch([{"id": "ev_1", "status": "completed"}]).status == 200


def wait_until_let_go(gateway: Gateway, clients: list[socket.socket]) -> None:
    """Wait until the gateway has no connection to any of them."""
    theirs = {client.getsockname() for client in clients}

    def connected() -> set[tuple[object, ...]]:
        return {
            tuple(one.raddr)
            for one in psutil.Process(gateway.process.pid).net_connections("tcp4")
            if one.status == psutil.CONN_ESTABLISHED
        }

    eventually(lambda: not theirs & connected())


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("", id="silent"),
        pytest.param(f"PATCH {BATCH} HTTP/1.1\r\nHost: local", id="half a head"),
        pytest.param(HEAD.format(100), id="a head alone"),
        pytest.param(HEAD.format(100) + '[{"id": "ev_1", "sta', id="half a body"),
    ],
)
def test_a_client_that_stops_in_the_middle_is_let_go(gateway: Gateway, sent: str) -> None:
    """It is told so; meanwhile the others are served."""
    clients = [connect(gateway, sent) for _ in range(SLOW_OF_EACH_KIND)]
    check_others_are_served(gateway)
    for client in clients:
        head, _, body = read_all(client).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body)["statusCode"] == 408
    assert b"settle_gateway_requests_open 0.0" in gateway.ask("GET", "/metrics").body


def test_a_client_that_sends_byte_by_byte_is_let_go(gateway: Gateway) -> None:
    """However much it goes on sending."""
    clients = [connect(gateway) for _ in range(SLOW_OF_EACH_KIND)]
    is_over = threading.Event()
    text = (HEAD.format(10_000) + " " * 10_000).encode()

    def drip() -> None:
        for byte in text:
            for client in clients:
                with suppress(OSError):
                    client.send(bytes([byte]))
            if is_over.wait(0.1):
                return

    dripping = threading.Thread(target=drip)
    dripping.start()
    check_others_are_served(gateway)
    wait_until_let_go(gateway, clients)
    is_over.set()
    dripping.join()
    for client in clients:
        client.close()
    check_others_are_served(gateway)


def test_a_client_that_does_not_read_is_let_go(gateway: Gateway) -> None:
    """It gets no more than there was room for; meanwhile the others are served."""
    request = f"GET {path_of('big')} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    clients = [connect(gateway, request * 4) for _ in range(SLOW_OF_EACH_KIND)]
    check_others_are_served(gateway)
    wait_until_let_go(gateway, clients)
    assert all(len(read_all(client)) < 4 * BIG for client in clients)
    check_others_are_served(gateway)
    assert b"settle_gateway_requests_open 0.0" in gateway.ask("GET", "/metrics").body


def test_clients_that_ask_on_and_leave_are_no_trouble(unloaded_rig: Rig, gateway: Gateway) -> None:
    """Also in the middle of the first of several requests, which has nowhere to be answered."""
    body = '[{"id": "ev_1", "status": "completed"}]'
    with unloaded_rig.service.database.engine.begin() as owner:
        owner.exec_driver_sql("SELECT FROM events WHERE id = 'ev_1' FOR UPDATE")
        for _ in range(SLOW_OF_EACH_KIND):
            connect(gateway, (HEAD.format(len(body)) + body) * 2).close()
        eventually(lambda: b"requests_open 20.0" in gateway.ask("GET", "/metrics").body)
    eventually(lambda: b"requests_open 0.0" in gateway.ask("GET", "/metrics").body)
    check_others_are_served(gateway)
    assert "Traceback" not in gateway.log.read_text()


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([f"GET {path_of('ev_1')} HTTP/1.1\r\nHost: localhost\r\n\r\n", "\r\n"]),
        pytest.param(["POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n", "[]"]),
        pytest.param(["POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n", "["]),
    ],
    ids=["an empty line", "a body that nobody reads", "half of it"],
)
def test_a_client_that_sends_something_after_its_answer_is_let_go(
    gateway: Gateway, parts: list[str]
) -> None:
    """It does not count as a request, and not as patience."""
    client = connect(gateway)
    for part in parts:
        client.sendall(part.encode())
        time.sleep(0.3)
    assert read_all(client).count(b"HTTP/1.1 ") == 1


def test_a_connection_is_kept_for_the_next_request_and_not_for_ever(gateway: Gateway) -> None:
    """Several requests go over one; a client that has no more is let go."""
    connection = gateway.connect()
    for _ in range(3):
        connection.request("GET", path_of("ev_1"))
        assert connection.getresponse().read()
    kept = connection.sock
    assert read_all(kept) == b""
    connection.close()
