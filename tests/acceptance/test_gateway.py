"""The HTTP door as its contract has it, through a real process and nothing but HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway import BATCH, JSON, Gateway, Gateways, ask, free_port, path_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway import Answer
    from tests.service import Service

ATTRIBUTES = [
    *("id", "updated", "status", "reason", "messageId"),
    *("accountId", "eventType", "createdAt", "completedAt", "failedAt", "payload"),
]


@pytest.fixture
def gateway(service: Service, gateways: Gateways) -> Gateway:
    """Give a gateway without keys, and four pending events."""
    service.load("ev_1", "ev_2", "ev_3", "ev_4")
    return gateways.start()


def completed(*ids: str) -> list[dict[str, str]]:
    """Make updates that complete events."""
    return [{"id": id_, "status": "completed"} for id_ in ids]


def statuses(service: Service, *ids: str) -> list[str | None]:
    """Return how events stand in the table."""
    rows = service.database.read_events(ids)
    return [rows[id_].status for id_ in ids]


def published(service: Service) -> list[dict[str, Any]]:
    """Return what the stream of outcomes holds."""
    entries = service.redis.xrange("event-outcomes")
    return [json.loads(fields["outcome"]) for _, fields in entries]


def check_is_problem(answer: Answer, status: int, error: str, message: str = "") -> None:
    """Check that an answer is an error, in the one form."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    told = answer.json
    assert list(told) == ["error", "message", "statusCode"]
    assert (told["error"], told["statusCode"]) == (error, status)
    assert message in told["message"], told


# -- what is answered ---------------------------------------------------------------------------


def test_every_update_is_answered_in_order(service: Service, gateway: Gateway) -> None:
    """With the documented attributes in their order, payload included, null where not found."""
    gateway.patch(completed("ev_3"), idempotency_key="before")
    answer = gateway.patch(
        [
            {"id": "ev_2", "status": "failed"},
            {"id": "ev_1", "status": "completed", "accountId": "acct_1", "eventType": "ignored"},
            {"id": "nobody", "status": "failed"},
            {"id": "ev_2", "status": "completed"},
            {"id": "ev_3", "status": "failed"},
            {"id": "ev_4", "status": "failed", "accountId": "acct_2"},
        ],
        idempotency_key="m1",
    )
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    told = answer.json
    assert [(one["id"], one["updated"], one["reason"]) for one in told] == [
        ("ev_2", True, None),
        ("ev_1", True, None),
        ("nobody", False, "not_found"),
        ("ev_2", False, "already_failed"),
        ("ev_3", False, "already_completed"),
        ("ev_4", False, "not_found"),
    ]
    assert all(list(one) == ATTRIBUTES for one in told)
    assert {one["messageId"] for one in told} == {"m1"}
    assert told[0]["payload"] == told[4]["payload"] == {"a": 1}
    assert told[0]["failedAt"].endswith("Z")
    assert told[0]["completedAt"] is None
    nothing = dict.fromkeys(ATTRIBUTES[5:])
    assert {name: told[2][name] for name in nothing} == nothing
    assert {name: told[5][name] for name in nothing} == nothing
    assert statuses(service, "ev_1", "ev_2", "ev_3", "ev_4") == [
        *("completed", "failed", "completed", None)
    ]


def test_the_channel_is_told_the_same(service: Service, gateway: Gateway) -> None:
    """On Pub/Sub and in the stream, in order, without the payload, before the answer comes."""
    with service.outcomes.subscribe() as outcomes:
        answer = gateway.patch(completed("ev_2", "ev_1", "nobody"))
        kept = published(service)
        heard = [next(outcomes) for _ in range(3)]
    told = [{name: one[name] for name in ATTRIBUTES[:-1]} for one in answer.json]
    assert kept == told
    assert [json.loads(outcome.to_json()) for outcome in heard] == told


def test_a_setting_adds_the_payload_to_the_channel(service: Service, gateways: Gateways) -> None:
    """Then it is told just what the client is."""
    service.load("ev_1")
    gateway = gateways.start(SETTLE_OUTCOME_PAYLOAD="true")
    assert gateway.patch(completed("ev_1", "nobody")).json == published(service)


def test_a_message_without_a_key_has_an_id_of_its_own(gateway: Gateway) -> None:
    """A new one for every request."""
    ids = [gateway.patch(completed("ev_1")).json[0]["messageId"] for _ in range(2)]
    assert len({uuid.UUID(id_) for id_ in ids}) == 2


def test_a_retry_is_told_the_same(service: Service, gateway: Gateway) -> None:
    """Under the same key, whatever happened meanwhile; without it, the event is settled already."""
    key = "".join(map(chr, range(0x21, 0x7F)))
    first = gateway.patch(completed("ev_1", "nobody"), idempotency_key=key)
    other = gateway.patch([{"id": "ev_1", "status": "failed"}], idempotency_key="another")
    again = gateway.patch(completed("ev_1", "nobody"), idempotency_key=key)
    assert first.json == again.json
    assert {one["messageId"] for one in first.json} == {key}
    assert [one["reason"] for one in other.json] == ["already_completed"]
    assert statuses(service, "ev_1") == ["completed"]


def test_an_event_is_shown_as_it_stands(gateway: Gateway) -> None:
    """Its seven attributes, pending and settled."""
    shown = gateway.get("ev_1")
    assert shown.status == 200
    assert list(shown.json) == [
        *("accountId", "completedAt", "createdAt", "eventType", "failedAt", "id", "payload")
    ]
    assert (shown.json["completedAt"], shown.json["failedAt"]) == (None, None)
    (outcome,) = gateway.patch([{"id": "ev_1", "status": "failed"}]).json
    shown = gateway.get("ev_1")
    assert shown.json == {name: outcome[name] for name in shown.json}


IDS = [
    *("a/b", "/", "//a", "a/", "../../metrics", ".", "..", "a?b#c", "100%", "%2F", "a b"),
    *("é", "\N{SNOWMAN}", "\N{GRINNING FACE}", "x" * 255, "\N{GRINNING FACE}" * 255),
    *("a\nb", "a\n", "\r\n", "\t", "\x7f", "batch/", "Batch", '"', "\\", "'; --"),
]


def test_an_id_may_be_any_text(service: Service, gateway: Gateway) -> None:
    """It is found in a path and in a body, and nothing else is taken for it."""
    service.load(*IDS)
    for id_ in IDS:
        assert gateway.get(id_).json["id"] == id_
        (outcome,) = gateway.patch(completed(id_)).json
        assert (outcome["id"], outcome["updated"]) == (id_, True)
        assert gateway.get(id_).json["completedAt"] == outcome["completedAt"]
        assert gateway.get(id_[:-1] + "~").status == 404


def test_a_thousand_updates_are_one_request(service: Service, gateways: Gateways) -> None:
    """One more is refused, and a setting moves the limit."""
    ids = [f"ev_{number}" for number in range(1_001)]
    service.load(*ids)
    gateway = gateways.start()
    check_is_problem(gateway.patch(completed(*ids)), 400, "Bad Request", "1 to 1000 updates")
    assert published(service) == []
    answer = gateway.patch(completed(*ids[:1_000]))
    assert [one["id"] for one in answer.json if one["updated"]] == ids[:1_000]
    assert len(published(service)) == 1_000
    small = gateways.start(SETTLE_MESSAGE_MAX_UPDATES="2")
    check_is_problem(small.patch(completed(*ids[:3])), 400, "Bad Request", "1 to 2 updates")


def test_an_update_that_the_database_refuses_hurts_no_other(
    service: Service, gateway: Gateway
) -> None:
    """It alone is told why, as invalid, and kept as a dead letter; the rest is settled."""
    with service.database.engine.begin() as operator:
        operator.exec_driver_sql(
            "ALTER TABLE events ADD CHECK (id <> 'ev_2' OR completed_at IS NULL)"
        )
    answer = gateway.patch(completed("ev_1", "ev_2", "ev_3"), idempotency_key="m")
    told = answer.json
    assert [(one["id"], one["reason"]) for one in told] == [
        *(("ev_1", None), ("ev_2", "invalid"), ("ev_3", None))
    ]
    assert list(told[1]) == [*ATTRIBUTES, "error"]
    assert (told[1]["payload"], told[1]["error"]["statusCode"]) == (None, 400)
    assert statuses(service, "ev_1", "ev_2", "ev_3") == ["completed", None, "completed"]
    assert [one["reason"] for one in published(service)] == [None, "invalid", None]
    ((_, letter),) = service.redis.xrange("event-status-updates.dead")
    assert letter["messageId"] == "m"
    assert json.loads(letter["delivery"]) == {"door": "http"}
    assert json.loads(letter["raw"])["id"] == "ev_2"


@pytest.mark.xfail(reason="payloads are decoded on their way, and Python has limits of its own")
@pytest.mark.parametrize(
    "payload",
    ['{"a": ' + "[" * 2_000 + "]" * 2_000 + "}", '{"a": ' + "1" * 5_000 + "}"],
    ids=["deep", "a long number"],
)
def test_a_payload_may_be_whatever_postgresql_holds(
    service: Service, gateway: Gateway, payload: str
) -> None:
    """It is shown as it is, and neither its event nor those beside it fail for it."""
    with service.database.engine.begin() as owner:
        owner.exec_driver_sql("UPDATE events SET payload = %s WHERE id = 'ev_2'", (payload,))
    assert gateway.get("ev_2").status == 200
    answer = gateway.patch(completed("ev_1", "ev_2"))
    assert answer.status == 200
    assert payload.replace(" ", "").encode() in answer.body.replace(b" ", b"")


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "status", "error", "message"),
    [
        pytest.param("", {}, 400, "Bad Request", "the body is not JSON", id="nothing"),
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
    """One error names the element and the field; nobody else is told anything."""
    answer = gateway.ask("PATCH", BATCH, body, {**JSON, **headers})
    check_is_problem(answer, status, error, message)
    assert statuses(service, "ev_1") == [None]
    assert published(service) == []
    assert service.redis.exists("event-status-updates.dead") == 0


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
        "Content Too Large" if sys.version_info >= (3, 13) else "Request Entity Too Large",
        "may be 1,024",
    )
    assert statuses(service, "ev_1") == [None]
    sent = iter([body[:1_000], body[1_000:1_024]]) if chunked else body[:1_024]
    assert gateway.ask("PATCH", BATCH, sent, JSON).status == 200


METHODS = [
    *((method, BATCH, {"PATCH"}) for method in ("GET", "POST", "PUT", "DELETE", "PURGE")),
    *((method, path_of("ev_1"), {"GET", "HEAD"}) for method in ("PATCH", "DELETE", "OPTIONS")),
    *((method, "/healthz", {"GET", "HEAD"}) for method in ("POST", "PURGE")),
    ("POST", "/metrics", {"GET", "HEAD"}),
]


def test_another_method_is_told_which_there_are(gateway: Gateway) -> None:
    """In the header that is made for it."""
    for method, path, allow in METHODS:
        answer = gateway.ask(method, path)
        check_is_problem(answer, 405, "Method Not Allowed", f"{method} is not for this path")
        assert set(answer.headers["allow"].split(", ")) == allow


def test_what_is_not_there_is_not_found(gateway: Gateway) -> None:
    """An event, and a path."""
    check_is_problem(gateway.get("nobody"), 404, "Not Found", "no such event")
    for path in ("/", "/v2/api/events", "/v1/api/events/batch", "/docs"):
        check_is_problem(gateway.ask("GET", path), 404, "Not Found", "nothing here")


@pytest.mark.parametrize("id_", ["", "x" * 256, "a\0b"], ids=["empty", "too long", "NUL"])
def test_what_cannot_be_an_id_is_refused(gateway: Gateway, id_: str) -> None:
    """Instead of looking for it."""
    check_is_problem(gateway.get(id_), 400, "Bad Request", "id: ")


def test_what_is_not_http_is_told_so(gateway: Gateway) -> None:
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
    check_is_problem(answers[-1], 429, "Too Many Requests", "at most 1 requests a second")
    assert int(answers[-1].headers["retry-after"]) >= 1
    answer = answers[-1]
    while answer.status == 429:
        answer = gateway.patch(completed("ev_2"))
    assert answer.json[0]["updated"]


def test_what_an_operator_must_see_to_is_told_to_the_log(
    service: Service, gateway: Gateway
) -> None:
    """500, and nothing of the inside; when it is seen to, requests are served again."""
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


# -- keys ---------------------------------------------------------------------------------------


def new_key(*options: str) -> tuple[str, str]:
    """Draw a key as an operator does; return what its holder sends, and what the file needs."""
    ended = subprocess.run(
        [sys.executable, "-m", "worker", "gateway", "new-key", *options],
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stderr.split()[-1], ended.stdout


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    """Give the keys of a shop, of one that has two accounts, and of an operator."""
    path = tmp_path / "keys.toml"
    drawn = {
        "shop": new_key("shop", "--account", "acct_1"),
        "two": new_key("two", "--account", "acct_1", "--account", "acct_2"),
        "ops": new_key("ops", "--all-accounts"),
    }
    path.write_text("\n".join(text for _, text in drawn.values()))
    for name, (token, _) in drawn.items():
        (tmp_path / name).write_text(f"Bearer {token}")
    return path


@pytest.fixture
def locked(service: Service, gateways: Gateways, keys_file: Path) -> Gateway:
    """Give a gateway with those keys, and an event of each of three accounts."""
    for number in (1, 2, 3):
        service.load(f"ev_{number}", account=f"acct_{number}")
    return gateways.start(SETTLE_GATEWAY_KEYS_FILE=str(keys_file))


def holder(keys_file: Path, name: str) -> dict[str, str]:
    """Return the header that somebody sends."""
    return {"authorization": (keys_file.parent / name).read_text()}


def test_without_a_key_nobody_is_served(service: Service, locked: Gateway, keys_file: Path) -> None:
    """But for whether the service is well, everything needs one."""
    wrong = {"authorization": holder(keys_file, "shop")["authorization"] + "x"}
    for headers in ({}, wrong, {"authorization": "Basic c2hvcDo="}):
        for answer in (
            locked.patch(completed("ev_1"), **headers),
            locked.get("ev_1", **headers),
            locked.ask("GET", "/metrics", headers=headers),
        ):
            check_is_problem(answer, 401, "Unauthorized", "Authorization: ")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert statuses(service, "ev_1") == [None]
    assert locked.ask("GET", "/healthz").status == 200
    metrics = locked.ask("GET", "/metrics", headers=holder(keys_file, "shop"))
    assert b"settle_gateway_requests_total" in metrics.body
    token = holder(keys_file, "shop")["authorization"].split()[-1]
    assert token not in locked.log.read_text()


@pytest.mark.parametrize(("name", "numbers"), [("shop", {1}), ("two", {1, 2}), ("ops", {1, 2, 3})])
def test_a_key_opens_the_events_of_its_accounts(
    service: Service, locked: Gateway, keys_file: Path, name: str, numbers: set[int]
) -> None:
    """The others are as if they were not there, and stay as they are."""
    key = holder(keys_file, name)
    ids = ["ev_1", "ev_2", "ev_3"]
    theirs = [number in numbers for number in (1, 2, 3)]
    assert [locked.get(id_, **key).status == 200 for id_ in ids] == theirs
    # Named or not, the account of an event is what counts.
    told = locked.patch(
        [{**one, "accountId": "acct_1"} for one in completed("ev_2", "ev_3")], **key
    )
    assert [one["reason"] for one in told.json] == ["not_found"] * 2
    told = locked.patch(
        [{"id": f"ev_{n}", "status": "failed", "accountId": f"acct_{n}"} for n in (1, 2, 3)], **key
    )
    assert [one["updated"] for one in told.json] == theirs
    hidden = [one for one in told.json if not one["updated"]]
    assert {one["reason"] for one in hidden} <= {"not_found"}
    assert {value for one in hidden for value in list(one.values())[5:]} <= {None}
    assert [status is not None for status in statuses(service, *ids)] == theirs
    assert [locked.get(id_, **key).status for id_ in ids] == [
        200 if is_theirs else 404 for is_theirs in theirs
    ]


def test_what_another_account_has_settled_stays_hidden(
    service: Service, locked: Gateway, keys_file: Path
) -> None:
    """Also to whoever uses its Idempotency-Key."""
    ops, shop = holder(keys_file, "ops"), holder(keys_file, "shop")
    locked.patch(completed("ev_2"), idempotency_key="m", **ops)
    told = locked.patch(completed("ev_2"), idempotency_key="m", **shop)
    assert [one["reason"] for one in told.json] == ["not_found"]
    check_is_problem(locked.get("ev_2", **shop), 404, "Not Found", "no such event")
    assert statuses(service, "ev_2") == ["completed"]


def test_a_keys_file_counts_as_it_stands(locked: Gateway, keys_file: Path) -> None:
    """A revoked key is refused, a new one serves; a file that broke leaves the old ones."""
    shop, ops = holder(keys_file, "shop"), holder(keys_file, "ops")
    token, text = new_key("new", "--account", "acct_1")
    keys_file.write_text(text)
    check_is_problem(locked.get("ev_1", **ops), 401, "Unauthorized")
    assert locked.get("ev_1", authorization=f"Bearer {token}").status == 200
    keys_file.write_text("[[key")
    assert locked.get("ev_1", authorization=f"Bearer {token}").status == 200
    check_is_problem(locked.get("ev_1", **shop), 401, "Unauthorized")
    locked.wait_for_log("keys not read again")


def test_without_keys_only_this_machine_is_served(gateway: Gateway, service: Service) -> None:
    """A page in a browser may reach it by a name of its own; that name is not served."""
    answer = gateway.ask(
        "PATCH", BATCH, json.dumps(completed("ev_1")), {**JSON, "Host": "rebound.example"}
    )
    check_is_problem(answer, 401, "Unauthorized", "Host: ")
    assert statuses(service, "ev_1") == [None]
    assert gateway.ask("GET", path_of("ev_1"), headers={"Host": "localhost"}).status == 200


def test_with_keys_any_name_is_served(locked: Gateway, keys_file: Path) -> None:
    """As a proxy in front passes it on."""
    headers = {"Host": "api.example", **holder(keys_file, "shop")}
    assert locked.ask("GET", path_of("ev_1"), headers=headers).status == 200


# -- starting and stopping ----------------------------------------------------------------------


def start_in_vain(service: Service, **settings: str) -> str:
    """Start a gateway that cannot work, and return its one line."""
    ended = subprocess.run(
        [sys.executable, "-m", "worker", "gateway"],
        env={**os.environ, **service.environment, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1, ended
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("Error: SETTLE_GATEWAY_")
    return ended.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1"])  # noqa: S104
def test_it_is_not_opened_to_others_without_keys(service: Service, host: str) -> None:
    """It says which setting is missing, before it listens."""
    line = start_in_vain(service, SETTLE_GATEWAY_HOST=host)
    assert line.startswith("Error: SETTLE_GATEWAY_KEYS_FILE: is required")


def test_with_keys_it_is_opened_to_others(
    service: Service, gateways: Gateways, keys_file: Path
) -> None:
    """On every address of the machine."""
    service.load("ev_1")
    gateway = gateways.start(host="0.0.0.0", SETTLE_GATEWAY_KEYS_FILE=str(keys_file))  # noqa: S104
    assert gateway.get("ev_1", **holder(keys_file, "shop")).status == 200


def test_a_port_that_is_taken_is_one_line(service: Service, gateway: Gateway) -> None:
    """It names the setting."""
    line = start_in_vain(service, SETTLE_GATEWAY_PORT=str(gateway.port))
    assert f"SETTLE_GATEWAY_PORT: cannot listen on 127.0.0.1, port {gateway.port}" in line


@pytest.mark.parametrize("text", [None, "[[key", '[[key]]\nname = "a"'])
def test_a_keys_file_that_is_bad_is_one_line(
    service: Service, tmp_path: Path, text: str | None
) -> None:
    """It names the setting and the file."""
    path = tmp_path / "keys.toml"
    if text is not None:
        path.write_text(text)
    line = start_in_vain(
        service, SETTLE_GATEWAY_KEYS_FILE=str(path), SETTLE_GATEWAY_PORT=str(free_port())
    )
    assert line.startswith(f"Error: SETTLE_GATEWAY_KEYS_FILE: {path}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stop_answers_what_is_under_way(
    service: Service, gateway: Gateway, number: signal.Signals
) -> None:
    """Then it exits with 0; nobody is cut off, and nobody new is let in."""
    with ThreadPoolExecutor() as threads:
        with service.database.engine.begin() as blocker:
            blocker.exec_driver_sql("SELECT FROM events WHERE id = 'ev_1' FOR UPDATE")
            waiting = threads.submit(gateway.patch, completed("ev_1", "ev_2"))
            _wait_until_blocked(service)
            gateway.process.send_signal(number)
            _wait_until_refused(gateway)
            assert gateway.process.poll() is None
        assert [one["updated"] for one in waiting.result().json] == [True, True]
    assert gateway.process.wait(60) == 0
    assert "gateway stopped" in gateway.log.read_text()
    assert "Traceback" not in gateway.log.read_text()
    assert len(published(service)) == 2


def test_it_stops_at_any_time(gateways: Gateways) -> None:
    """Also told so before it serves."""
    for _ in range(5):
        gateway = gateways.start()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(60) in (0, -signal.SIGTERM)


def test_it_is_up_before_its_servers_are(gateways: Gateways) -> None:
    """It asks for them when there is something to do, and tells that they are away."""
    gateway = gateways.start(DATABASE_URL="postgresql://u:hush@127.0.0.1:1/none")
    for answer in (gateway.patch(completed("ev_1")), gateway.get("ev_1")):
        check_is_problem(answer, 503, "Service Unavailable", "the database does not answer")
        assert int(answer.headers["retry-after"]) >= 1
    check_is_problem(gateway.ask("GET", "/healthz"), 503, "Service Unavailable", "the database")
    assert "hush" not in gateway.log.read_text()


def test_its_metrics_tell_what_it_did(gateway: Gateway) -> None:
    """Requests by status, updates by outcome."""
    gateway.patch(completed("ev_1", "ev_2", "nobody"))
    gateway.patch([])
    told = gateway.ask("GET", "/metrics").body.decode().splitlines()
    for line in (
        'settle_gateway_requests_total{status="200"} 1.0',
        'settle_gateway_requests_total{status="400"} 1.0',
        'settle_gateway_updates_total{outcome="updated"} 2.0',
        'settle_gateway_updates_total{outcome="not_found"} 1.0',
        "settle_gateway_unpublished_outcomes 0.0",
    ):
        assert line in told


def _wait_until_blocked(service: Service) -> None:
    """Wait until a session waits for a lock."""
    question = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    waiting = threading.Event()
    for _ in range(3_000):
        with service.database.engine.connect() as operator:
            if operator.exec_driver_sql(question).scalar_one():
                return
        waiting.wait(0.02)
    raise AssertionError("nobody waits")


def _wait_until_refused(gateway: Gateway) -> None:
    """Wait until it takes no more connections."""
    waiting = threading.Event()
    for _ in range(3_000):
        connection = gateway.connect()
        try:
            connection.connect()
        except ConnectionError:
            return
        finally:
            connection.close()
        waiting.wait(0.02)
    raise AssertionError("it still listens")
