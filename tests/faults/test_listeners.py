"""Who listens for outcomes over HTTP: many, slow ones, and while Redis is away."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.faults.test_gateway_clients import open_files
from tests.gateway import check_is_problem, completed, new_key
from tests.listening import OUTCOMES, listening, outcome, page, publish
from tests.service import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.rig import Rig
    from tests.gateway import Gateway, Gateways

LISTENERS = 1_000
REQUEST = f"GET {OUTCOMES} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
MIB = 2**20
# Each is 64 KiB, and all of them more than waits for anybody.
LARGE, MANY = 65_536, 600


def memory(gateway: Gateway) -> int:
    """Return how many bytes a gateway takes."""
    return int(psutil.Process(gateway.process.pid).memory_info().rss)


def says(gateway: Gateway, text: str) -> bool:
    """Return whether a metric is so."""
    return text.encode() in gateway.ask("GET", "/metrics").body


def test_a_thousand_listen(
    unloaded_rig: Rig, gateways: Gateways, capsys: pytest.CaptureFixture[str]
) -> None:
    """One reader of Redis serves them all; each hears, and they cost little."""
    service = unloaded_rig.service
    service.load("ev_1")
    gateway = gateways.start()
    with listening(gateway) as events:
        next(events)
    before = memory(gateway)

    async def listen() -> None:
        opened = [
            await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(LISTENERS)
        ]
        for _, writer in opened:
            writer.write(REQUEST.encode())
        for reader, _ in opened:
            assert (await reader.readuntil(b"id: 0-0\n\n")).startswith(b"HTTP/1.1 200 ")
        listeners = f"settle_gateway_listeners {LISTENERS}.0"
        await asyncio.to_thread(eventually, lambda: says(gateway, listeners))
        each = (memory(gateway) - before) / LISTENERS
        with capsys.disabled():
            sys.stdout.write(f"\n{LISTENERS:,} listeners: {each / 1024:.0f} KiB each\n")
        assert each < MIB / 10
        assert service.channel.info("clients")["blocked_clients"] == 1
        await asyncio.to_thread(gateway.patch, completed("ev_1"))
        for reader, writer in opened:
            assert b'"id":"ev_1"' in await reader.readuntil(b"}\n\n")
            writer.close()
            await writer.wait_closed()

    with open_files(LISTENERS * 2):
        asyncio.run(asyncio.wait_for(listen(), PATIENCE_SECONDS * 2))
    eventually(lambda: says(gateway, "settle_gateway_listeners 0.0"))
    eventually(lambda: service.channel.info("clients")["blocked_clients"] == 0)
    assert "Traceback" not in gateway.log.read_text()
    assert gateway.stop() == 0


def test_who_reads_slowly_is_cut_and_goes_on_from_there(
    unloaded_rig: Rig, gateways: Gateways
) -> None:
    """What waits for slow ones is bounded, whatever they are; others hear, and nothing is lost."""
    service = unloaded_rig.service
    gateway = gateways.start()
    slow = [listening(gateway) for _ in range(20)]
    opened = [each.__enter__() for each in slow]
    begin = next(opened[0]).position
    eventually(lambda: says(gateway, "settle_gateway_listeners 20.0"))
    before = memory(gateway)
    for number in range(MANY):
        publish(service, outcome(f"ev_{number}", payload="x" * LARGE))
    eventually(lambda: says(gateway, "settle_gateway_listeners_cut_total 20.0"))
    # What waits, once; what is on its way to each; and what Python does not give back.
    assert memory(gateway) - before < (16 + 20 * 2 + 40) * MIB
    heard = list(opened[0])
    last = heard.pop()
    assert (last.kind, last.data["statusCode"]) == ("problem", 503)
    assert last.position == (heard[-1].position if heard else begin)
    with listening(gateway, last_event_id=last.position) as again:
        while len(heard) < MANY:
            heard.append(next(again))
    assert [said.data["id"] for said in heard] == [f"ev_{number}" for number in range(MANY)]
    for each in slow:
        each.__exit__(None, None, None)
    eventually(lambda: says(gateway, "settle_gateway_listeners 0.0"))


def test_while_redis_is_away_who_listens_stays(unloaded_rig: Rig, gateways: Gateways) -> None:
    """It is said so, hears what comes when Redis is back; others are asked to come again."""
    service = unloaded_rig.service
    service.load("ev_1", "ev_2")
    gateway = gateways.start()
    with listening(gateway) as events:
        gateway.patch(completed("ev_1"))
        first = next(said for said in events if said.data)
        unloaded_rig.outcomes.stop(immediate=True)
        away = next(events)
        assert (away.position, away.kind) == (first.position, "problem")
        assert away.data["message"].startswith("the result channel does not answer")
        for accept in ("application/json", "text/event-stream"):
            answer = gateway.ask("GET", f"{OUTCOMES}?after=0-0", headers={"Accept": accept})
            check_is_problem(answer, 503, "Service Unavailable", "the result channel does not")
            assert answer.headers["retry-after"] == "1"
        check_is_problem(page(gateway), 503, "Service Unavailable", "the result channel does not")
        assert gateway.ask("GET", "/healthz").status == 503
        unloaded_rig.outcomes.start()
        eventually(lambda: gateway.ask("GET", "/healthz").status == 200)
        gateway.patch(completed("ev_2"))
        second = next(said for said in events if said.kind == "message" and said.data)
    assert (first.data["id"], second.data["id"]) == ("ev_1", "ev_2")
    log = gateway.log.read_text()
    assert log.count('"outcomes cannot be read"') == 1
    assert log.count('"outcomes are read again"') == 1
    assert "Traceback" not in log


def test_a_gateway_that_is_killed_is_gone_on_from(unloaded_rig: Rig, gateways: Gateways) -> None:
    """Another one knows where its listener was."""
    service = unloaded_rig.service
    first = gateways.start()
    with listening(first) as events:
        publish(service, outcome("ev_1"))
        position = next(said for said in events if said.data).position
        first.kill()
    publish(service, outcome("ev_2"))
    with listening(gateways.start(), last_event_id=position) as events:
        assert next(events).data["id"] == "ev_2"


def test_a_quiet_stream_says_where_it_is(unloaded_rig: Rig, gateways: Gateways) -> None:
    """Again and again, also past what is not asked for: nobody begins far back after that."""
    gateway = gateways.start(module="tests.faults.impatient_gateway")
    with listening(gateway, query="?messageId=mine") as events:
        assert [next(events) for _ in range(3)] == [("0-0", "message", None)] * 3
        (position,) = publish(unloaded_rig.service, outcome("ev_1"))
        assert next(said for said in events if said.position != "0-0") == (
            *(position, "message", None),
        )


def test_a_listener_whose_key_is_revoked_is_let_go(
    unloaded_rig: Rig, gateways: Gateways, tmp_path: Path
) -> None:
    """Also when it has other accounts; who still has its own goes on."""
    (shop, shop_text), (ops, ops_text) = (
        new_key("shop", "--account", "acct_1"),
        new_key("ops", "--all-accounts"),
    )
    keys = tmp_path / "keys.toml"
    keys.write_text(shop_text + ops_text)
    settings = {"SETTLE_GATEWAY_KEYS_FILE": str(keys)}
    gateway = gateways.start(module="tests.faults.impatient_gateway", **settings)
    with (
        listening(gateway, authorization=f"Bearer {shop}") as revoked,
        listening(gateway, authorization=f"Bearer {ops}") as others,
    ):
        next(revoked)
        next(others)
        keys.write_text(shop_text.replace("acct_1", "acct_2") + ops_text)
        *_, last = revoked
        assert (last.kind, last.data["statusCode"]) == ("problem", 401)
        publish(unloaded_rig.service, outcome("ev_1"))
        assert next(said for said in others if said.data).data["id"] == "ev_1"


@pytest.mark.parametrize("is_published", [False, True], ids=["nothing", "an outcome"])
def test_who_waits_for_a_page_with_a_key_that_is_revoked_is_refused(
    unloaded_rig: Rig, gateways: Gateways, tmp_path: Path, *, is_published: bool
) -> None:
    """While nothing comes, and in place of what does."""
    token, text = new_key("shop", "--account", "acct_1")
    keys = tmp_path / "keys.toml"
    keys.write_text(text)
    settings = {"SETTLE_GATEWAY_KEYS_FILE": str(keys)}
    module = "cli" if is_published else "tests.faults.impatient_gateway"
    gateway = gateways.start(module=module, **settings)
    shown = {"Authorization": f"Bearer {token}"}
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(gateway.ask, "GET", f"{OUTCOMES}?wait=15", None, shown)
        eventually(
            lambda: (
                b"settle_gateway_listeners 1.0" in gateway.ask("GET", "/metrics", None, shown).body
            )
        )
        keys.write_text(text.replace("acct_1", "acct_2"))
        if is_published:
            publish(unloaded_rig.service, outcome("ev_1"))
        check_is_problem(waiting.result(), 401, "Unauthorized", "is not known any more")


def test_a_message_outlives_everything_in_between(unloaded_rig: Rig, gateways: Gateways) -> None:
    """The gateway, the broker, the result channel and the database, each killed in its turn."""
    service = unloaded_rig.service
    service.load("ev_1", "ev_2")
    first = gateways.start()
    later = {"prefer": "respond-async", "idempotency_key": "once"}
    path = first.patch(completed("ev_1", "ev_404"), **later).headers["location"]
    first.kill()
    for server in (unloaded_rig.broker, unloaded_rig.outcomes, unloaded_rig.postgres):
        server.stop(immediate=True)
        server.start()
    gateway = gateways.start()
    assert gateway.ask("GET", path).json["awaited"] == 2
    unloaded_rig.start_worker()
    eventually(lambda: gateway.ask("GET", path).status == 200)
    answered = gateway.ask("GET", path).json["outcomes"]
    assert [(one["updated"], one["reason"]) for one in answered] == [
        *((True, None), (False, "not_found"))
    ]
    unloaded_rig.outcomes.stop(immediate=True)
    unloaded_rig.outcomes.start()
    eventually(lambda: gateway.ask("GET", path).status == 200)
    assert gateway.ask("GET", path).json["outcomes"] == answered


def test_without_the_broker_nothing_is_accepted(unloaded_rig: Rig, gateways: Gateways) -> None:
    """A request is asked to come again, others are served, and when it is back it is accepted."""
    service = unloaded_rig.service
    service.load("ev_1", "ev_2")
    gateway = gateways.start()
    later = {"prefer": "respond-async", "idempotency_key": "once"}
    unloaded_rig.broker.stop(immediate=True)
    answer = gateway.patch(completed("ev_1"), **later)
    check_is_problem(answer, 503, "Service Unavailable", "the broker does not answer: try again")
    assert answer.headers["retry-after"] == "1"
    assert gateway.patch(completed("ev_2")).status == 200
    unloaded_rig.broker.start()
    eventually(lambda: gateway.patch(completed("ev_1"), **later).status == 202)
    unloaded_rig.start_worker()
    path = "/v2/api/messages/once"
    eventually(lambda: gateway.ask("GET", path).status == 200)
    unloaded_rig.outcomes.stop(immediate=True)
    for asked in (gateway.patch(completed("ev_1"), **later), gateway.ask("GET", path)):
        check_is_problem(asked, 503, "Service Unavailable", "the result channel does not answer")
    unloaded_rig.outcomes.start()
    assert "Traceback" not in gateway.log.read_text()


def test_a_redis_that_hangs_keeps_nobody_waiting_for_ever(
    unloaded_rig: Rig, gateways: Gateways
) -> None:
    """However many wait at once; when it answers again, all are served."""
    gateway = gateways.start()
    server = psutil.Process(unloaded_rig.outcomes.pid)
    paths = [OUTCOMES, f"{OUTCOMES}?after=0-0", "/v2/api/messages/m"] * 20
    with ThreadPoolExecutor(len(paths)) as clients:
        server.suspend()
        try:
            answers = list(clients.map(lambda path: gateway.ask("GET", path), paths))
        finally:
            server.resume()
        assert {answer.status for answer in answers} == {503}
        again = list(clients.map(lambda path: gateway.ask("GET", path), paths))
    assert {answer.status for answer in again} <= {200, 404, 503}
    eventually(lambda: page(gateway).status == 200)
    assert "Traceback" not in gateway.log.read_text()
