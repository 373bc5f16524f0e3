"""The client over HTTP where something goes wrong between it and a gateway, by either face."""

from __future__ import annotations

import math
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from cli.embedded import free_port
from settle_client import (
    AddressError,
    AsyncHttpClient,
    BelongsElsewhereError,
    NotAnsweredError,
    NotFoundError,
    SettleError,
    UnreadAnswerError,
)
from settle_client.http import outcomes
from tests import faces
from tests.faults.network import Link
from tests.forking import run
from tests.gateway import completed, new_key, published
from tests.listening import outcome, publish
from tests.scripted_server import HTML, ScriptedServer, json_answer
from tests.service import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.gateway import Gateway, Gateways
    from tests.service import Service

pytestmark = pytest.mark.storms
face = faces.face

UPDATE = {"id": "ev_1", "status": "completed"}
# Of `tests.faults.crashing_gateway`.
STEPS = ("locked", "committed", "published partly", "published")
ACCOUNTS = ("acct_1", "acct_2")
MESSAGES, EVENTS_EACH = 20, 5
OUTCOME = outcome("ev_1").to_json()


@pytest.fixture
def link(gateway: Gateway) -> Iterator[Link]:
    """Give a link to a gateway."""
    with Link(gateway.port) as link:
        yield link


@pytest.fixture
def client(face: Any, link: Link) -> Iterator[Any]:
    """Give a client that goes through it."""
    with closing(face.http_client(f"http://127.0.0.1:{link.port}")) as client:
        yield client


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Give a server that answers from a script."""
    with ScriptedServer() as server:
        yield server


class Party:
    """A holder of a key: settles its events message by message, and hears of them meanwhile."""

    def __init__(self, client: Any, account: str) -> None:
        self.client, self.account = client, account
        self.answered: list[Any] = []
        self.heard: list[Any] = []
        self.expected = {
            (f"{account}-{number}", index)
            for number in range(MESSAGES)
            for index in range(EVENTS_EACH)
        }

    def settle(self) -> None:
        """Settle all of them."""
        for number in range(MESSAGES):
            message_id = f"{self.account}-{number}"
            ids = [f"{message_id}-{index}" for index in range(EVENTS_EACH)]
            self.answered += self.client.settle_together(completed(*ids), message_id=message_id)

    def listen(self, since: str) -> None:
        """Listen until all of them were heard."""
        with closing(self.client.listen(since)) as heard:
            for _, one in heard:
                self.heard += [one] if one else []
                if self.expected <= {each.identity for each in self.heard}:
                    return


def crash_and_start(gateways: Gateways, link: Link, **settings: str) -> None:
    """Start gateways, one after the other, which kill themselves in the middle of a batch."""
    for step in STEPS:
        crash = {"CRASH_AT": step, "CRASH_AT_TIME": "4"}
        gateway = gateways.start(module="tests.faults.crashing_gateway", **crash, **settings)
        link.server_port = gateway.port
        gateway.process.wait(PATIENCE_SECONDS)
    link.server_port = gateways.start(**settings).port


@pytest.mark.storms
def test_gateways_that_are_killed_lose_nothing(
    face: Any, service: Service, gateways: Gateways, link: Link
) -> None:
    """Nothing is settled twice; each account hears each of its outcomes, and no other's."""
    texts, tokens = [], []
    for account in ACCOUNTS:
        token, text = new_key(account, "--account", account)
        tokens.append(token)
        texts.append(text)
    keys = service.folder / "keys.toml"
    keys.write_text("".join(texts))
    settings = {"SETTLE_GATEWAY_KEYS_FILE": str(keys)}
    url = f"http://127.0.0.1:{link.port}"
    link.server_port = gateways.start(**settings).port
    with ThreadPoolExecutor(5) as threads:
        parties = [
            Party(face.http_client(url, api_key=token, timeout_seconds=60), account)
            for account, token in zip(ACCOUNTS, tokens, strict=True)
        ]
        work = []
        for party in parties:
            service.load(*(f"{m}-{index}" for m, index in party.expected), account=party.account)
            work.append(threads.submit(party.listen, party.client.position()))
        gateways.started[-1].kill()
        work.append(threads.submit(crash_and_start, gateways, link, **settings))
        work += [threads.submit(party.settle) for party in parties]
        for one in work:
            one.result(3 * PATIENCE_SECONDS)
    for party in parties:
        assert {one.identity for one in party.answered} == party.expected
        assert len(party.answered) == len(party.expected)
        assert {one.identity for one in party.heard} == party.expected
        assert {one.account_id for one in party.heard} == {party.account}
        assert all(one.updated for one in party.answered + party.heard)
        rows = service.database.read_events([one.id for one in party.answered])
        assert {(id_.rpartition("-")[0], row.status) for id_, row in rows.items()} == {
            (row.settled_by, "completed") for row in rows.values()
        }
        party.client.close()
    assert {one["reason"] for one in published(service)} == {None}


def test_a_listener_whose_connection_breaks_goes_on(
    service: Service, link: Link, client: Any
) -> None:
    """From the last that it was given: each once, in their order."""
    with closing(client.listen(client.position())) as heard:
        outcomes = (one.id for _, one in heard if one)
        found = []
        for number in range(0, 15, 3):
            publish(service, *(outcome(f"ev_{number + each}") for each in range(3)))
            found += list(islice(outcomes, 3))
            link.cut()
    assert found == [f"ev_{number}" for number in range(15)]


def test_a_listener_outlasts_a_gateway(
    service: Service, gateways: Gateways, gateway: Gateway, link: Link, client: Any
) -> None:
    """One that stops as it should; what was published meanwhile comes from the next."""
    with closing(client.listen()) as heard, ThreadPoolExecutor(1) as threads:
        next(heard)
        gateway.stop()
        publish(service, outcome("ev_1"))
        hearing = threads.submit(next, (one for _, one in heard if one))
        link.server_port = gateways.start().port
        assert hearing.result(PATIENCE_SECONDS).id == "ev_1"


def test_outcomes_that_are_trimmed_while_nobody_reads_are_an_error(
    service: Service, gateways: Gateways, gateway: Gateway, link: Link, client: Any
) -> None:
    """Not a gap that nobody sees; listening from where it says gives what is left."""
    with closing(client.listen(client.position())) as heard:
        publish(service, outcome("ev_1"))
        assert next(one for _, one in heard if one).id == "ev_1"
        gateway.kill()
        publish(service, *(outcome(f"ev_{number}") for number in (2, 3, 4)))
        service.channel.xtrim("event-outcomes", maxlen=2, approximate=False)
        link.server_port = gateways.start().port
        with pytest.raises(SettleError, match="410 Gone: outcomes behind this") as told:
            next(heard)
    with closing(client.listen(told.value.begin)) as heard:  # type: ignore[attr-defined]
        assert [one.id for _, one in islice(heard, 2) if one] == ["ev_3", "ev_4"]


def test_what_is_answered_later_outlasts_a_gateway(
    service: Service, gateways: Gateways, link: Link, client: Any
) -> None:
    """Also one that is killed while its outcomes are waited for."""
    gateway = gateways.start(CELERY_BROKER_URL=service.users.producer)
    link.server_port = gateway.port
    message_id = client.settle_later([UPDATE, {"id": "nobody", "status": "failed"}])
    outcomes = client.wait(message_id, timeout_seconds=2 * PATIENCE_SECONDS)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(list, outcomes)
        gateway.kill()
        service.start_worker()
        link.server_port = gateways.start().port
        assert [one.reason for one in waiting.result()] == [None, "not_found"]


def test_a_rate_is_kept_to(face: Any, service: Service, gateways: Gateways) -> None:
    """Each is settled, though not at once."""
    service.load("ev_1", "ev_2", "ev_3")
    url = gateways.start(SETTLE_GATEWAY_REQUESTS_PER_SECOND="1").url
    with closing(face.http_client(url)) as client:
        for id_ in ("ev_1", "ev_2", "ev_3"):
            assert client.settle({"id": id_, "status": "failed"}).updated
    with closing(face.http_client(url, timeout_seconds=0.9)) as client:
        with pytest.raises(NotAnsweredError, match="429 Too Many Requests: key-requests") as told:
            all(client.position() for _ in range(10))
        assert told.value.problem is not None
        assert told.value.problem.status_code == 429


def test_what_is_away_is_waited_for(face: Any, service: Service, gateway: Gateway) -> None:
    """A row that is locked: settled once it is not, by the message that it was."""
    with (
        closing(face.http_client(gateway.url, timeout_seconds=60)) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        with service.database.engine.begin() as owner:
            owner.exec_driver_sql("SELECT FROM events WHERE id = 'ev_1' FOR UPDATE")
            settling = threads.submit(client.settle, UPDATE, message_id="m")
            gateway.wait_for_log("database is away")
        assert settling.result().message_id == "m"
    assert service.database.read_events(["ev_1"])["ev_1"].settled_by == "m"


def test_a_connection_that_hangs_is_given_up(
    face: Any, service: Service, link: Link, gateway: Gateway
) -> None:
    """For another; what both carry is one message."""
    url = f"http://127.0.0.1:{link.port}"
    with closing(face.http_client(url, timeout_seconds=1)) as client:
        link.silent = True
        with pytest.raises(NotAnsweredError, match="no answer within 1 s") as told:
            client.settle(UPDATE)
        message_id = told.value.message_id
    with closing(face.http_client(url, timeout_seconds=30)) as client:
        threading.Timer(1, lambda: setattr(link, "silent", False)).start()
        assert client.settle(UPDATE, message_id=message_id).message_id == message_id
    assert service.database.read_events(["ev_1"])["ev_1"].settled_by == message_id
    assert gateway.process.poll() is None


def test_a_proxys_page_in_place_of_an_answer_is_waited_out(
    face: Any, server: ScriptedServer
) -> None:
    """Where it says that what is behind it is away; the message stays the same."""
    server.answers = [(502, HTML), (504, HTML), (503, HTML, {"Retry-After": "0"})]
    server.answers.append(json_answer(OUTCOME))
    with closing(face.http_client(server.url)) as client:
        assert client.settle(UPDATE).updated
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert len(keys) == 4
    assert len(set(keys)) == 1


def slowly(body: bytes, pieces: int, pause_seconds: float) -> Iterator[bytes]:
    """Send a body in pieces."""
    size = -(-len(body) // pieces)
    for place in range(0, len(body), size):
        yield body[place : place + size]
        time.sleep(pause_seconds)


def test_an_answer_that_comes_slowly_is_waited_for(face: Any, server: ScriptedServer) -> None:
    """For as long as something comes, and the call may take; one that never ends is given up."""
    head = {"Content-Type": "application/json"}
    server.answers = [(200, slowly(OUTCOME, 8, 0.3), head)]
    with closing(face.http_client(server.url, timeout_seconds=6)) as client:
        assert client.settle(UPDATE).updated
    assert len(server.requests) == 1
    server.answers = [(200, slowly(b" " * 1_000, 1_000, 0.1), head) for _ in range(9)]
    with (
        closing(face.http_client(server.url, timeout_seconds=2)) as client,
        pytest.raises(NotAnsweredError, match="no answer within 2 s"),
    ):
        client.settle(UPDATE)


CALLS: dict[str, Callable[[Any], Any]] = {
    "settle": lambda client: client.settle(UPDATE),
    "settle together": lambda client: client.settle_together([UPDATE]),
    "settle later": lambda client: client.settle_later([UPDATE]),
    "look": lambda client: client.get_event("ev_1"),
    "list": lambda client: next(client.list_events()),
    "create": lambda client: client.create_events([{"id": "ev_1"}]),
    "wait": lambda client: next(client.wait("m", timeout_seconds=1)),
    "position": lambda client: client.position(),
    "poll": lambda client: client.poll("0-0"),
    "listen": lambda client: next(client.listen()),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_is_no_gateway_is_said(face: Any, server: ScriptedServer, call: Any) -> None:
    """With what came instead: a page, another program's JSON, or that it is elsewhere."""
    for answer, said in (
        ((200, HTML), "200 text/html, '<html>Welcome!</html>'"),
        ((404, HTML), "404 text/html"),
        (json_answer(b'{"status": "fine"}'), '200 application/json, \'{"status": "fine"}\''),
        (json_answer(b"[1, "), "200 application/json"),
        (json_answer(b""), "200 application/json"),
        ((301, b"", {"Location": "https://elsewhere/"}), "301, to go to https://elsewhere/"),
    ):
        server.answers = [answer]
        with closing(face.http_client(server.url, api_key="secret")) as client:
            with pytest.raises(UnreadAnswerError, match="see whether the URL is right") as told:
                call(client)
            assert said in str(told.value)
            if sent := server.requests[-1].headers["Idempotency-Key"]:
                assert told.value.message_id == sent
    assert len(server.requests) == 6


def test_a_stream_that_says_what_is_wrong(face: Any, server: ScriptedServer) -> None:
    """Goes on where it passes, begins anew where it ends, and is an error else."""
    away = b'id: 1-0\nevent: problem\ndata: {"error": "e", "message": "m", "statusCode": 503}\n\n'
    gone = away.replace(b"503", b"410").replace(b"1-0", b"3-0")
    said = [away + b"id: 2-0\ndata: " + OUTCOME + b"\n\nid: 9-9\ndata: cut", gone]
    server.answers = [(200, each, {"Content-Type": "text/event-stream"}) for each in said]
    with closing(face.http_client(server.url)) as client, closing(client.listen("0-0")) as heard:
        position, one = next(heard)
        assert (position, one.id) == ("2-0", "ev_1")
        with pytest.raises(SettleError, match="410 e: m") as told:
            next(heard)
    assert told.value.begin == "3-0"  # type: ignore[attr-defined]
    asked = [request.headers["Last-Event-ID"] for request in server.requests]
    assert asked == ["0-0", "2-0"]


def test_nobody_there_is_an_error_in_time(face: Any) -> None:
    """For a call as for who would listen."""
    url = f"http://127.0.0.1:{free_port()}"
    with closing(face.http_client(url, timeout_seconds=0.5)) as client:
        for call in CALLS.values():
            with pytest.raises((NotAnsweredError, TimeoutError)):
                call(client)


def test_who_would_listen_to_a_gateway_that_hangs_is_told_in_time(face: Any) -> None:
    """By the time of the call, not by that of a stream whose heartbeats stay away."""
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as hanging,
        closing(
            face.http_client(f"http://127.0.0.1:{hanging.getsockname()[1]}", timeout_seconds=1)
        ) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        hearing = threads.submit(next, client.listen())
        with pytest.raises(NotAnsweredError, match="no answer within 1 s"):
            hearing.result(outcomes.SILENT_SECONDS / 2)


def test_a_stream_may_be_silent_for_longer_than_a_call_takes(
    face: Any, server: ScriptedServer
) -> None:
    """Who has heard something waits for the next heartbeat."""
    said = b"id: 1-0\n\n", b"id: 2-0\n\n"
    server.answers = [
        (200, slowly(b"".join(said), 2, 1.5), {"Content-Type": "text/event-stream"}),
    ]
    with (
        closing(face.http_client(server.url, timeout_seconds=1)) as client,
        closing(client.listen()) as heard,
    ):
        assert [next(heard)[0] for _ in said] == ["1-0", "2-0"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("seconds", [math.inf, 1e12], ids=["for ever", "for ages"])
def test_a_call_may_be_tried_for_ever(face: Any, server: ScriptedServer, seconds: float) -> None:
    """It is answered as any other."""
    server.answers = [(502, HTML), json_answer(OUTCOME)]
    server.answers.append(json_answer(b'{"awaited": 0, "outcomes": [%b]}' % OUTCOME))
    with closing(face.http_client(server.url, timeout_seconds=seconds)) as client:
        assert client.settle(UPDATE).updated
        (one,) = client.wait("m", timeout_seconds=seconds)
        assert one.updated


def test_a_client_that_is_closed_says_so(face: Any, gateway: Gateway) -> None:
    """Whatever is asked of it."""
    client = face.http_client(gateway.url)
    client.position()
    client.close()
    for call in CALLS.values():
        with pytest.raises(SettleError, match="the client is closed"):
            call(client)


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("redis://localhost", {}, "the URL must be http://host or https://host"),
        ("localhost:8000", {}, "the URL must be"),
        ("http://", {}, "the URL must be"),
        ("http://shop:secret@localhost", {}, "with no user in it"),
        ("http://localhost:port", {}, "the URL cannot be understood"),
        ("http://localhost", {"api_key": "secret\n"}, "the API key must be visible ASCII"),
        ("http://localhost", {"nothing": 1}, "httpx does not take an option: .*'nothing'"),
        ("http://localhost/?secret=1", {}, "the URL must have nothing behind its path"),
        ("http://localhost/#secret", {}, "the URL must have nothing behind its path"),
        ("http://localhost ", {}, "no space in its host"),
        ("http://localhost", {"proxy": "ftp://secret"}, "the value of an option"),
        ("http://localhost", {"proxy": "socks5://x"}, "an option: Using SOCKS proxy, .*install"),
        ("http://localhost", {"headers": 1}, "httpx does not take an option"),
    ],
)
def test_what_cannot_be_meant_is_said_at_once(
    face: Any, url: str, options: dict[str, Any], message: str
) -> None:
    """And no secret with it."""
    with pytest.raises(AddressError, match=message) as told:
        face.http_client(url, **options)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("SSL_CERT_FILE", "/no/secret"), ("HTTPS_PROXY", "ftp://secret"), ("ALL_PROXY", "socks5://x")],
)
def test_what_the_environment_cannot_mean_is_said(
    face: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """As an error of the address, which names where to look."""
    monkeypatch.setenv(name, value)
    with pytest.raises(AddressError, match=f"{name}|SOCKS proxy") as told:
        face.http_client("https://localhost")
    assert "secret" not in str(told.value)


def test_nothing_that_is_given_sends_the_key_elsewhere(face: Any, server: ScriptedServer) -> None:
    """Nor makes of a request another, or sends two keys."""
    options = {"follow_redirects": True, "headers": [("authorization", "other"), ("X-Trace", "t")]}
    server.answers = [(302, b"", {"Location": f"{server.url}/elsewhere"})]
    with (
        closing(face.http_client(server.url, api_key="key", **options)) as client,
        pytest.raises(UnreadAnswerError, match="302, to go to"),
    ):
        client.settle(UPDATE)
    (request,) = server.requests
    assert request.headers.get_all("Authorization") == ["Bearer key"]
    assert request.headers["X-Trace"] == "t"


def test_a_gateway_behind_a_prefix_is_asked_there(face: Any, server: ScriptedServer) -> None:
    """As behind a proxy, with the key and nothing else of this client's."""
    server.answers = [json_answer(OUTCOME)]
    with closing(face.http_client(f"{server.url}/settle", api_key="key")) as client:
        client.settle(UPDATE)
    (request,) = server.requests
    assert request.path == "/settle/v2/api/events"
    assert request.headers["Authorization"] == "Bearer key"


FORKING = """
client = HttpClient(url)
client.position()
heard = client.listen()
next(heard)
def child():
    report(settled=client.settle(UPDATE).updated)
    try:
        next(heard)
    except BelongsElsewhereError as error:
        report(error=str(error))
in_child(child)
try:
    client.settle(UPDATE)
except ConflictError:
    report(settled="already")
report(heard=next(one.id for _, one in heard if one))
client.close()
"""


def test_a_forked_child_uses_connections_of_its_own(gateway: Gateway) -> None:
    """And leaves to its parent what that has begun."""
    assert run(FORKING, gateway.url) == [
        {"settled": True},
        {"error": "this was begun before the fork: begin in the child, too"},
        {"settled": "already"},
        {"heard": "ev_1"},
    ]


def test_a_client_of_asyncio_belongs_to_its_loop(gateway: Gateway) -> None:
    """Elsewhere it says so."""
    one, other = faces.AsyncFace(), faces.AsyncFace()
    client = AsyncHttpClient(gateway.url)
    with pytest.raises(NotFoundError):
        one.run(client.get_event("nobody"))
    with pytest.raises(BelongsElsewhereError, match="this AsyncHttpClient was first used in"):
        other.run(client.get_event("ev_1"))
    one.run(client.close())
    for each in (one, other):
        each.close()


def test_many_share_a_client(service: Service, client: Any) -> None:
    """Each has its own answer."""
    ids = [f"many_{number}" for number in range(60)]
    service.load(*ids)
    with ThreadPoolExecutor(10) as threads:
        settled = threads.map(lambda id_: client.settle({"id": id_, "status": "failed"}), ids)
        assert [one.id for one in settled] == ids
    eventually(lambda: len(published(service)) == len(ids))
