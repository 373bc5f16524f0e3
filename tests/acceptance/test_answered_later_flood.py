"""Many requests to be answered later, at once: who is refused, when, and who is not."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.gateway import BATCH, JSON, Answer, Gateway, Gateways, completed, new_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.service import Service

LATER = {**JSON, "Prefer": "respond-async"}
BODY = json.dumps(completed("ev_1"))
# More than may wait for the broker, and than redis-py has connections to Redis.
MANY = 150
ROOM = 100
STANDSTILL_SECONDS = 3.0


@pytest.fixture
def shared(gateways: Gateways, tmp_path: Path) -> tuple[Gateway, dict[str, str], dict[str, str]]:
    """Give a gateway, and what the holders of two accounts' keys send."""
    drawn = [new_key(name, "--account", name) for name in ("flood", "quiet")]
    keys = tmp_path / "keys.toml"
    keys.write_text("".join(text for _, text in drawn))
    gateway = gateways.start(
        CELERY_BROKER_URL=gateways.service.users.producer, SETTLE_GATEWAY_KEYS_FILE=str(keys)
    )
    flood, quiet = ({"Authorization": f"Bearer {token}"} for token, _ in drawn)
    return gateway, flood, quiet


class Client:
    """A connection, over which heads of requests are sent apart from their bodies."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.answers = connection, connection.makefile("rb")

    def ask(self, fields: dict[str, str]) -> None:
        """Send a head."""
        fields = {**fields, "Host": "localhost", "Content-Length": str(len(BODY))}
        lines = [f"PATCH {BATCH} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
        self.connection.sendall("\r\n".join(lines).encode())

    def answered(self) -> tuple[int, dict[str, str], str]:
        """Read an answer."""
        status = int(self.answers.readline().split()[1])
        lines = iter(lambda: self.answers.readline().decode().strip(), "")
        fields = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        return status, fields, self.answers.read(int(fields.get("content-length", 0))).decode()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Give what closes connections."""
    with ExitStack() as stack:
        yield stack


def begin(stack: ExitStack, gateway: Gateway, key: dict[str, str]) -> Client:
    """Begin a request, whose client would know whether to send the body."""
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
    stack.enter_context(connection)
    client = Client(connection)
    stack.enter_context(client.answers)
    client.ask({**LATER, **key, "Expect": "100-continue"})
    return client


def test_who_has_their_part_is_refused_before_the_body(
    shared: tuple[Gateway, dict[str, str], dict[str, str]], stack: ExitStack
) -> None:
    """Others find room meanwhile; the connection is good for more, and room is given back."""
    gateway, flood, quiet = shared
    held = [begin(stack, gateway, flood) for _ in range(ROOM)]
    assert {one.answered()[0] for one in held} == {100}
    refused = begin(stack, gateway, flood)
    status, fields, text = refused.answered()
    assert (status, fields["retry-after"]) == (503, "1")
    assert "too many updates wait" in text
    assert gateway.ask("PATCH", BATCH, BODY, {**LATER, **quiet}).status == 202
    for one in held:
        one.connection.sendall(BODY.encode())
    assert {one.answered()[0] for one in held} == {202}
    # What was not read is passed over.
    refused.connection.sendall(BODY.encode())
    refused.ask({**LATER, **flood})
    refused.connection.sendall(BODY.encode())
    assert refused.answered()[0] == 202


def test_only_who_floods_is_refused_while_redis_stands_still(
    service: Service, shared: tuple[Gateway, dict[str, str], dict[str, str]]
) -> None:
    """However many ask it at once, and by what their message says: that they are too many."""
    gateway, flood, quiet = shared

    def send(key: dict[str, str]) -> Answer:
        return gateway.ask("PATCH", BATCH, BODY, {**LATER, **key})

    path = send(quiet).headers["location"]
    service.channel.client_pause(int(STANDSTILL_SECONDS * 1_000))
    with ThreadPoolExecutor(MANY + 2) as threads:
        sent = [threads.submit(send, flood) for _ in range(MANY)]
        sent_quietly = [threads.submit(send, quiet) for _ in range(2)]
        answers = [one.result() for one in sent]
        assert [one.result().status for one in sent_quietly] == [202, 202]
    refused = [one.json["message"] for one in answers if one.status != 202]
    assert refused, "they were not at once"
    assert set(refused) == {"too many updates wait: try again"}
    assert gateway.ask("GET", path, headers=quiet).status == 202


def test_however_many_ask_for_outcomes_at_once_are_answered(
    service: Service, shared: tuple[Gateway, dict[str, str], dict[str, str]]
) -> None:
    """Each when it has been looked for."""
    gateway, _, quiet = shared
    path = gateway.ask("PATCH", BATCH, BODY, {**LATER, **quiet}).headers["location"]
    service.channel.client_pause(int(STANDSTILL_SECONDS * 1_000))
    with ThreadPoolExecutor(MANY) as threads:
        asked = [threads.submit(gateway.ask, "GET", path, None, quiet) for _ in range(MANY)]
        assert {one.result().status for one in asked} == {202}
