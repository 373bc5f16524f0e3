"""Lists of a gateway that reads them from a replica, which lags, goes, or is none any more."""

from __future__ import annotations

import os
import signal
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from db.loading import NewEvent, load_events
from tests.gateway import EVENTS, JSON, Gateways, completed
from tests.service import eventually
from tests.standby import Pair, pair, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway import Answer, Gateway
    from tests.service import Service
    from tests.standby import Standby

pytestmark = pytest.mark.storms

IDS = ["ev_0", "ev_1", "ev_2"]


@pytest.fixture
def servers() -> Iterator[Pair]:
    """Give a primary with pending events, and a standby."""
    with pair() as servers:
        load_events(servers.primary.url, [NewEvent(id_, "acct_1") for id_ in IDS])
        yield servers


@pytest.fixture
def gateway(emptied_service: Service, servers: Pair) -> Iterator[Gateway]:
    """Give a gateway that reads lists from the standby."""
    with closing(Gateways(emptied_service, servers.primary.url)) as gateways:
        gateway = gateways.start(SETTLE_READ_DATABASE_URL=servers.standby.url)
        eventually(lambda: place(gateway) == "replica")
        yield gateway


def place(gateway: Gateway) -> str | None:
    """Return where the gateway says that it reads lists."""
    return str(gateway.ask("GET", "/healthz").json.get("lists"))


def pending(gateway: Gateway) -> list[str]:
    """List the pending events."""
    answer = gateway.ask("GET", f"{EVENTS}?status=pending")
    assert answer.status == 200, answer
    return [event["id"] for event in answer.json]


def settle_one(gateway: Gateway, id_: str) -> Answer:
    """Settle one event."""
    body = f'{{"id": "{id_}", "status": "completed"}}'
    return gateway.ask("PATCH", EVENTS, body, JSON)


def on(url: str, statement: str) -> None:
    """Do something as the owner."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(statement.encode())


def lists_of(gateway: Gateway) -> dict[str, float]:
    """Return how many lists were read from where."""
    lines = gateway.ask("GET", "/metrics").body.decode().splitlines()
    prefix = 'settle_gateway_lists_total{server="'
    found = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
    return {place: float(count) for place, count in (line.split('"} ') for line in found)}


def test_a_list_may_be_old_and_what_is_settled_is_told_the_truth(
    gateway: Gateway, servers: Pair
) -> None:
    """Who acts on an old list is answered as anybody who comes too late."""
    on(servers.standby.url, "SELECT pg_wal_replay_pause()")
    wait_for(servers.standby, "SELECT pg_get_wal_replay_pause_state()", "paused")
    assert settle_one(gateway, "ev_0").status == 200
    event: dict[str, Any] = {"id": "new", "accountId": "acct_1", "eventType": "order"}
    assert gateway.ask("POST", EVENTS, f"[{event}]".replace("'", '"'), JSON).status == 200
    assert pending(gateway) == IDS
    assert settle_one(gateway, "ev_0").status == 409
    (outcome,) = gateway.patch(completed("ev_0")).json
    assert outcome["reason"] == "already_completed"
    assert gateway.get("ev_0").json["completedAt"] is not None
    assert settle_one(gateway, "new").status == 200
    on(servers.standby.url, "SELECT pg_wal_replay_resume()")
    eventually(lambda: pending(gateway) == IDS[1:])
    assert lists_of(gateway)["primary"] == 0


def test_without_the_replica_lists_are_read_from_the_primary(
    gateway: Gateway, servers: Pair
) -> None:
    """Each is answered, from the first one on; and from the replica again when it is back."""
    servers.standby.stop(immediate=True)
    assert settle_one(gateway, "ev_0").status == 200
    assert pending(gateway) == IDS[1:]
    gateway.wait_for_log("lists are read from the primary")
    assert place(gateway) == "primary"
    assert pending(gateway) == IDS[1:]
    servers.standby.start()
    gateway.wait_for_log("lists are read from the replica again")
    before = lists_of(gateway)
    assert pending(gateway) == IDS[1:]
    assert lists_of(gateway)["replica"] == before["replica"] + 1


@contextmanager
def frozen(server: Standby) -> Iterator[None]:
    """Let a server hang: its connections stay open, and nothing is answered."""
    (file,) = server.directory.rglob("postmaster.pid")
    postmaster = int(file.read_text().splitlines()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    processes = [postmaster, *map(int, children)]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def test_a_replica_that_hangs_keeps_no_list_for_ever(gateway: Gateway, servers: Pair) -> None:
    """What waits for it is read from the primary in the end, and what comes later at once."""
    with frozen(servers.standby):
        assert pending(gateway) == IDS
        gateway.wait_for_log("lists are read from the primary")
        assert pending(gateway) == IDS
        assert place(gateway) == "primary"
    eventually(lambda: place(gateway) == "replica")


def test_a_replica_that_was_promoted_is_not_read(gateway: Gateway, servers: Pair) -> None:
    """It stands alone, and would show the same for ever."""
    servers.standby.promote()
    assert settle_one(gateway, "ev_0").status == 200
    assert pending(gateway) == IDS[1:]
    gateway.wait_for_log("it takes writes")
    assert gateway.ask("GET", "/healthz").status == 200


def test_lists_go_on_while_the_primary_is_away(gateway: Gateway, servers: Pair) -> None:
    """The gateway is not ready: nothing can be settled."""
    servers.primary.stop(immediate=True)
    assert pending(gateway) == IDS
    assert settle_one(gateway, "ev_0").status == 503
    assert gateway.ask("GET", "/healthz").status == 503


def test_a_gateway_without_a_replica_says_nothing_of_one(lasting_gateway: Gateway) -> None:
    """Its answer is what it was."""
    assert lasting_gateway.ask("GET", "/healthz").json == {"status": "ok"}
