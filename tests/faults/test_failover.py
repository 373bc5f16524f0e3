"""A standby takes over, and the sessions of the old primary stay open and take no writes."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from db import Database
from db.loading import NewEvent, load_events
from tests.faults.network import Link
from tests.gateway import Gateways, completed
from tests.pgbouncer import in_front_of
from tests.service import Service, eventually
from tests.standby import Pair, pair
from tests.watching import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.storms
IDS = [f"ev_{number:02}" for number in range(30)]
BEFORE, AFTER = IDS[:10], IDS[10:]


class Switch:
    """A pair of servers behind one address, which leads to the primary there is."""

    def __init__(self, servers: Pair, url: str, link: Link | None = None) -> None:
        """Lead to either of several hosts, or over a link to one that is moved."""
        self.servers, self.url, self._link = servers, url, link

    def throw(self) -> None:
        """Switch over; connections that there are stay where they lead."""
        self.servers.switch()
        if self._link is not None:
            self._link.server_port = self.servers.standby.port


@pytest.fixture(
    params=[
        "several hosts",
        "one address",
        pytest.param("a pooler's", marks=pytest.mark.pgbouncer),
    ]
)
def switch(request: pytest.FixtureRequest) -> Iterator[Switch]:
    """Give a primary and a standby."""
    with ExitStack() as stack:
        servers = stack.enter_context(pair())
        load_events(servers.primary.url, [NewEvent(id_, "acct_1") for id_ in IDS])
        if request.param == "several hosts":
            yield Switch(servers, servers.url)
            return
        link = stack.enter_context(Link(servers.primary.port))
        url = link.through(servers.primary.url)
        if request.param == "a pooler's":
            url = stack.enter_context(in_front_of(url)).url
        yield Switch(servers, url, link)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_everything_goes_on_with_the_new_primary(
    switch: Switch, redis_url: str, tmp_path: Path, pool: str
) -> None:
    """Every slot of a worker, the gateway and the commands, and nothing is started anew."""
    watched = Watched()
    with ExitStack() as stack:
        service = stack.enter_context(closing(Service(switch.url, redis_url, tmp_path)))
        gateway = stack.enter_context(closing(Gateways(service))).start()
        # One update is a batch: every slot gets some, before and after.
        one_by_one = {"SETTLE_BATCH_MAX_UPDATES": "1", "SETTLE_RETRY_MAX_WAIT_SECONDS": "1"}
        service.start_worker("--pool", pool, **one_by_one, **watched.settings)
        settle_all(service, BEFORE)
        assert gateway.get(BEFORE[0]).json["completedAt"]
        # Of several connections.
        assert gateway.patch(completed(BEFORE[0])).status == 200

        switch.throw()
        settle_all(service, AFTER)
        with closing(Database(switch.servers.standby.url)) as primary:
            assert {row.status for row in primary.read_events(IDS).values()} == {"completed"}
        assert gateway.patch(completed(AFTER[0])).json[0]["reason"] == "already_completed"
        assert gateway.get(AFTER[0]).json["completedAt"]
        assert gateway.ask("GET", "/healthz").status == 200
        eventually(lambda: watched.get("/readyz").status == 200, lambda: watched.get("/readyz"))
        environment = {**os.environ, **service.environment}
        command = [sys.executable, "-m", "cli", "doctor", "--json"]
        told = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        ).stdout
        assert '"found": "not reached' not in told
        assert "read-only" not in told


def settle_all(service: Service, ids: list[str]) -> None:
    """Send an update for each event, and wait until all are told that they are updated."""
    sent = {service.send(kwargs={"id": id_, "status": "completed"}).id: [id_] for id_ in ids}
    for answers in service.wait(sent).values():
        assert answers[-1].updated
