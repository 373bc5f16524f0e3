"""What each alert on gateways is there for; `tests.faults.mishaps` has workers'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from cli.embedded import temporary_folder
from tests.faults.watched_rig import LOCKED, Mishap, WatchedRig
from tests.gateway import Gateway, completed
from tests.standby import Standby

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR_SECONDS = 3_600


def gateway_down(it: WatchedRig) -> Iterator[None]:
    """The only gateway is gone."""
    gateway = it.start_gateway()
    yield
    gateway.kill()
    yield
    it.start_gateway()


def gateway_fails(it: WatchedRig) -> Iterator[None]:
    """PostgreSQL is away, and clients go on asking."""
    gateway = it.start_gateway()
    yield
    it.rig.postgres.stop()
    it.meanwhile = lambda: patch(gateway)
    yield
    it.rig.postgres.start()
    it.meanwhile = lambda: patch(gateway)


def gateway_outcomes_not_published(it: WatchedRig) -> Iterator[None]:
    """The result channel goes between a commit and its outcomes."""
    it.rig.service.load(LOCKED)
    gateway = it.start_gateway()
    yield
    it.rig.outcomes.stop(immediate=True)
    patch(gateway)
    yield
    it.rig.outcomes.start()


def replica_not_read(it: WatchedRig) -> Iterator[None]:
    """The replica is away."""
    standby = standby_of(it)
    it.start_gateway(SETTLE_READ_DATABASE_URL=standby.url)
    yield
    standby.stop(immediate=True)
    yield
    standby.start()


def replica_behind(it: WatchedRig) -> Iterator[None]:
    """Somebody has paused what the replica replays, and lists may be old."""
    standby = standby_of(it)
    settings = {"SETTLE_READ_MAX_LAG_SECONDS": str(HOUR_SECONDS)}
    it.start_gateway(SETTLE_READ_DATABASE_URL=standby.url, **settings)
    yield
    on(standby, "SELECT pg_wal_replay_pause()")
    it.rig.service.load(LOCKED)
    yield
    on(standby, "SELECT pg_wal_replay_resume()")


def standby_of(it: WatchedRig) -> Standby:
    """Start a standby of the rig's database."""
    folder = it.rig.at_end.enter_context(temporary_folder())
    return it.rig.at_end.enter_context(Standby(folder / "standby", it.rig.postgres))


def on(server: Standby, statement: str) -> None:
    """Do something as the owner."""
    with psycopg.connect(server.url, autocommit=True) as owner:
        owner.execute(statement.encode())


def patch(gateway: Gateway) -> None:
    """Ask a gateway for an update, whatever it answers."""
    gateway.patch(completed(LOCKED))


GATEWAY_MISHAPS: dict[str, Mishap] = {
    "SettleGatewayDown": gateway_down,
    "SettleGatewayFails": gateway_fails,
    "SettleGatewayOutcomesNotPublished": gateway_outcomes_not_published,
    "SettleReplicaNotRead": replica_not_read,
    "SettleReplicaBehind": replica_behind,
}
