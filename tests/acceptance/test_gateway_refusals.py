"""What the HTTP door refuses: in one form, and with nothing applied."""

from __future__ import annotations

import gzip
import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from gateway.access.keys import as_toml, draw
from tests.documents import read
from tests.gateway import (
    BATCH,
    EVENTS,
    JSON,
    Gateway,
    Gateways,
    ask,
    check_is_problem,
    completed,
    path_of,
    published,
    statuses,
)
from tests.service import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.gateway import Answer
    from tests.service import Service


@pytest.fixture
def service(emptied_service: Service) -> Service:
    """Give what all of these tests share."""
    return emptied_service


@pytest.fixture
def gateway(service: Service, lasting_gateway: Gateway) -> Gateway:
    """Give the gateway that they share, and four pending events."""
    service.load("ev_1", "ev_2", "ev_3", "ev_4")
    return lasting_gateway


@pytest.mark.parametrize(
    ("body", "headers", "status", "error", "message"),
    [
        pytest.param("", {}, 400, "Bad Request", "the body is empty", id="nothing"),
        pytest.param(" \n", {}, 400, "Bad Request", "the body is empty", id="blank"),
        pytest.param("null", {}, 400, "Bad Request", "the body is null", id="null"),
        pytest.param("7", {}, 400, "Bad Request", "the body is a number", id="a number"),
        pytest.param(
            gzip.compress(b"[]").decode("latin-1"),
            {},
            *(400, "Bad Request", "the body is compressed, with gzip"),
            id="gzip that is not declared",
        ),
        pytest.param(
            gzip.compress(b"[]").decode("latin-1"),
            {"Content-Encoding": "gzip"},
            *(415, "Unsupported Media Type", "Content-Encoding: must be identity"),
            id="gzip",
        ),
        pytest.param("[{]", {}, 400, "Bad Request", "the body is not JSON", id="no JSON"),
        pytest.param("[" * 10**5, {}, 400, "Bad Request", "the body is not JSON", id="too deep"),
        pytest.param('{"id": "ev_1"}', {}, 400, "Bad Request", "must be an array", id="an object"),
        pytest.param("[]", {}, 400, "Bad Request", "1 to 1000 updates, this one 0", id="empty"),
        pytest.param(
            json.dumps([*completed("ev_1"), {"id": "ev_2", "status": "done"}]),
            {},
            *(400, "Bad Request", "[1].status: must be 'completed' or 'failed', got 'done'"),
            id="a field",
        ),
        pytest.param(
            json.dumps([*completed("ev_1"), 7]), {}, 400, "Bad Request", "[1]: ", id="an element"
        ),
        pytest.param(
            json.dumps(completed("ev_1", "a\0")), {}, 400, "Bad Request", "[1].id", id="NUL"
        ),
        pytest.param(
            '[{"id": "ev_1", "status": "failed"}, {"id": "\\ud800", "status": "failed"}]',
            {},
            *(400, "Bad Request", "[1].id: "),
            id="half a character",
        ),
        pytest.param(
            json.dumps(completed("ev_1")),
            {"Idempotency-Key": "a b"},
            *(400, "Bad Request", "Idempotency-Key: "),
            id="a space in the key",
        ),
        pytest.param(
            json.dumps(completed("ev_1")),
            {"Idempotency-Key": ""},
            *(400, "Bad Request", "Idempotency-Key: "),
            id="no key",
        ),
        pytest.param(
            json.dumps(completed("ev_1")),
            {"Idempotency-Key": "x" * 256},
            *(400, "Bad Request", "Idempotency-Key: "),
            id="a long key",
        ),
        pytest.param(
            json.dumps(completed("ev_1")),
            {"Content-Type": "text/plain"},
            *(415, "Unsupported Media Type", "Content-Type: must be application/json"),
            id="text",
        ),
    ],
)
def test_a_request_that_is_not_valid_applies_nothing(
    *,
    service: Service,
    gateway: Gateway,
    body: str,
    headers: dict[str, str],
    status: int,
    error: str,
    message: str,
) -> None:
    """One error names the element and the field; nothing is published."""
    answer = gateway.ask("PATCH", BATCH, body, {**JSON, **headers})
    check_is_problem(answer, status, error, message)
    assert statuses(service, "ev_1") == [None]
    assert published(service) == []
    assert service.redis.exists("event-status-updates.dead") == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", BATCH), ("GET", path_of("ev_1")), ("GET", "/healthz"), ("GET", "/nothing")],
    ids=["settling", "looking", "health", "nothing here"],
)
def test_a_path_with_a_slash_behind_it_is_the_path_without(
    gateway: Gateway, method: str, path: str
) -> None:
    """Whether there is something or not."""
    body = json.dumps(completed("ev_2")) if method == "PATCH" else ""
    headers = {**JSON, "Idempotency-Key": "once"} if body else {}
    without, behind = (gateway.ask(method, one, body, headers) for one in (path, f"{path}/"))
    assert (behind.status, behind.json) == (without.status, without.json)
    assert behind.status == (404 if path == "/nothing" else 200)


def test_the_contract_is_served_to_anybody(service: Service, gateways: Gateways) -> None:
    """As a document, and as a page that no browser asks anybody else for anything of."""
    keys = service.folder / "keys.toml"
    keys.write_text(as_toml(draw("billing", "all")[1]))
    gateway = gateways.start(SETTLE_GATEWAY_KEYS_FILE=str(keys))
    document = gateway.ask("GET", "/openapi.json")
    assert (document.status, document.json) == (200, read("openapi.json"))
    page = gateway.ask("GET", "/docs")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert gateway.ask("POST", "/docs").status == 405


def test_a_key_may_be_given_once(service: Service, gateway: Gateway) -> None:
    """Of two, none is meant more than the other."""
    connection = gateway.connect()
    body = json.dumps(completed("ev_1")).encode()
    connection.putrequest("PATCH", BATCH)
    for name, value in (
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Idempotency-Key", "a"),
        ("Idempotency-Key", "b"),
    ):
        connection.putheader(name, value)
    connection.endheaders(body)
    assert connection.getresponse().status == 400
    connection.close()
    assert statuses(service, "ev_1") == [None]


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_a_body_that_is_too_large_is_refused(
    service: Service, gateways: Gateways, *, chunked: bool
) -> None:
    """Before it is read, where it says how large it is; as soon as it is too large, else."""
    service.load("ev_1")
    gateway = gateways.start(SETTLE_GATEWAY_BODY_MAX_BYTES="1024")
    body = json.dumps(completed("ev_1")).encode().ljust(1_025)
    sent = iter([body[:1_000], body[1_000:]]) if chunked else body
    answer = gateway.ask("PATCH", BATCH, sent, JSON)
    check_is_problem(
        answer,
        413,
        "Content Too Large",
        "larger than 1,024 bytes",
    )
    assert statuses(service, "ev_1") == [None]
    sent = iter([body[:1_000], body[1_000:1_024]]) if chunked else body[:1_024]
    assert gateway.ask("PATCH", BATCH, sent, JSON).status == 200


METHODS = [
    *((method, BATCH, {"PATCH"}) for method in ("GET", "POST", "PUT", "DELETE", "PURGE")),
    *((method, path_of("ev_1"), {"GET", "HEAD"}) for method in ("PATCH", "DELETE", "OPTIONS")),
    *((method, "/healthz", {"GET", "HEAD"}) for method in ("POST", "PURGE")),
    ("POST", "/metrics", {"GET", "HEAD"}),
    *((method, EVENTS, {"GET", "HEAD", "PATCH", "POST"}) for method in ("PUT", "DELETE")),
]


def test_another_method_is_answered_with_those_there_are(gateway: Gateway) -> None:
    """In the header that is made for it."""
    for method, path, allow in METHODS:
        answer = gateway.ask(method, path)
        check_is_problem(answer, 405, "Method Not Allowed", f"{method} is not for this path")
        assert set(answer.headers["allow"].split(", ")) == allow


def test_a_tunnel_is_not_opened(gateway: Gateway) -> None:
    """CONNECT is a method like any other."""
    with socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_SECONDS) as client:
        client.sendall(f"CONNECT {BATCH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(1_000).startswith(b"HTTP/1.1 405 ")
    assert "Traceback" not in gateway.log.read_text()


def test_what_follows_a_request_is_no_answer_to_it(service: Service, gateway: Gateway) -> None:
    """A client that sends nonsense behind it gets no answer, and may repeat it."""
    body = json.dumps(completed("ev_1"))
    head = f"PATCH {BATCH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Idempotency-Key: once\r\nContent-Length: {len(body)}\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_SECONDS) as client,
        service.database.engine.begin() as owner,
    ):
        owner.exec_driver_sql("SELECT FROM events WHERE id = 'ev_1' FOR UPDATE")
        client.sendall(f"{head}{body}?\r\n\r\n".encode())
        with suppress(ConnectionError):
            assert client.recv(1_000) == b""
    assert gateway.patch(completed("ev_1"), idempotency_key="once").json[0]["updated"]
    assert "Traceback" not in gateway.log.read_text()


def test_what_is_not_there_is_not_found(gateway: Gateway) -> None:
    """An event, and a path."""
    check_is_problem(gateway.get("nobody"), 404, "Not Found", "no such event")
    for path in ("/", "/v2/api", "/v2/api/event", "/v1/api/events/batch", "/doc"):
        check_is_problem(gateway.ask("GET", path), 404, "Not Found", "nothing here")


@pytest.mark.parametrize("id_", ["x" * 256, "a\0b"], ids=["too long", "NUL"])
def test_what_cannot_be_an_id_is_refused(gateway: Gateway, id_: str) -> None:
    """Instead of looking for it."""
    check_is_problem(gateway.get(id_), 400, "Bad Request", "id: ")


def test_what_is_not_http_is_refused(gateway: Gateway) -> None:
    """In the same form as everything else."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client:
        client.sendall(b"settle ev_1, please\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4_096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["statusCode"] == 400


def test_a_head_that_does_not_end_is_refused(gateway: Gateway) -> None:
    """Nobody may send as much of it as there is memory."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\n")
        with suppress(ConnectionError):
            for _ in range(1_000):
                client.sendall(b"x: " + b"x" * 10_000)
        with suppress(ConnectionError):
            answer = b"".join(iter(lambda: client.recv(4_096), b""))
            assert answer.startswith(b"HTTP/1.1 431 ")
    assert gateway.ask("GET", "/healthz", headers={"x": "x" * 50_000}).status == 200


CHUNKED = (
    f"PATCH {BATCH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Transfer-Encoding: chunked\r\n\r\n"
)


def test_fields_behind_a_body_do_not_end_for_ever_either(
    service: Service, gateway: Gateway
) -> None:
    """They count like those before it, and nothing is applied of what has no end."""
    body = json.dumps(completed("ev_1"))
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client:
        client.sendall(f"{CHUNKED}{len(body):x}\r\n{body}\r\n0\r\n".encode())
        with pytest.raises(ConnectionError):
            client.sendall((b"x: " + b"x" * 10_000 + b"\r\n") * 10_000)
    assert statuses(service, "ev_1") == [None]


def test_a_body_may_come_in_many_small_pieces(gateway: Gateway) -> None:
    """What is between them is not taken for fields that never end."""
    body = json.dumps(completed(*["ev_1"] * 500))
    pieces = "".join(f"1\r\n{one}\r\n" for one in body)
    assert len(pieces) > 2**16
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client:
        client.sendall(f"{CHUNKED}{pieces}0\r\n\r\n".encode())
        assert client.recv(1_000).startswith(b"HTTP/1.1 200 ")


def test_a_field_behind_a_body_is_none_of_its_head(service: Service, gateway: Gateway) -> None:
    """No key, no host, no credentials: a proxy in front may not have looked at it."""
    body = json.dumps(completed("ev_1"))
    request = f"{CHUNKED}{len(body):x}\r\n{body}\r\n0\r\nIdempotency-Key: behind\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client:
        client.sendall(request.encode())
        answer = client.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"behind"' not in answer
    settled_by = service.database.read_events(["ev_1"])["ev_1"].settled_by
    assert settled_by not in (None, "behind")


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_an_offer_to_speak_another_protocol_is_not_taken(gateway: Gateway, protocol: str) -> None:
    """It is served in this one, body and all; Java's client offers HTTP/2 with every request."""
    connection = gateway.connect()
    headers = {**JSON, "Connection": "Upgrade, HTTP2-Settings", "Upgrade": protocol}
    for id_ in ("ev_1", "ev_2"):
        answer = ask(connection, "PATCH", BATCH, json.dumps(completed(id_)), headers)
        assert answer.json[0]["updated"]
    assert ask(connection, "GET", path_of("ev_1"), headers=headers).json["id"] == "ev_1"
    connection.close()


def test_requests_beyond_the_rate_are_asked_to_wait(service: Service, gateways: Gateways) -> None:
    """Nothing of them is applied; later they may."""
    service.load("ev_1", "ev_2")
    gateway = gateways.start(SETTLE_GATEWAY_REQUESTS_PER_SECOND="1")
    answers: list[Answer] = []
    while not answers or answers[-1].status == 200:
        answers.append(gateway.patch(completed("ev_1")))
    check_is_problem(answers[-1], 429, "Too Many Requests", "more than 1 requests a second")
    assert int(answers[-1].headers["retry-after"]) >= 1
    answer = answers[-1]
    while answer.status == 429:
        answer = gateway.patch(completed("ev_2"))
    assert answer.json[0]["updated"]


def test_what_an_operator_must_see_to_is_logged(service: Service, gateways: Gateways) -> None:
    """500, and nothing of the inside; when it is seen to, requests are served again."""
    service.load("ev_1")
    gateway = gateways.start()
    with service.database.engine.begin() as operator:
        operator.exec_driver_sql("ALTER TABLE events RENAME TO elsewhere")
    for answer in (gateway.patch(completed("ev_1")), gateway.get("ev_1")):
        check_is_problem(answer, 500, "Internal Server Error", "its log says why")
    check_is_problem(gateway.ask("GET", "/healthz"), 503, "Service Unavailable", "the database")
    gateway.wait_for_log("42P01")
    with service.database.engine.begin() as operator:
        operator.exec_driver_sql("ALTER TABLE elsewhere RENAME TO events")
    assert published(service) == []
    assert gateway.patch(completed("ev_1")).json[0]["updated"]
    assert gateway.ask("GET", "/healthz").json == {"status": "ok"}
