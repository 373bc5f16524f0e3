"""A PostgreSQL whose standby takes over again and again, in one of two places by turns."""

from __future__ import annotations

import os
import signal
from itertools import count, cycle
from typing import TYPE_CHECKING, NamedTuple, Self

from cli.embedded import free_port
from db import Database
from tests.faults.network import Link
from tests.standby import Standby, follow_synchronously

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from cli.embedded import Postgres
    from tests.faults.rig import Rig
    from tests.hosts import Host

# What a standby that was away still finds.
KEPT = ("-c", "wal_keep_size=256MB")
EVERYBODY = "host all all all trust\nhost replication all all trust\n"


class Place(NamedTuple):
    """Where one of the two servers is."""

    address: str
    port: int
    host: Host | None = None


def places(hosts: Sequence[Host]) -> list[Place]:
    """Return two places: on hosts, or else on ports of this one."""
    if hosts:
        return [Place(host.address, free_port(), host) for host in hosts]
    return [Place("127.0.0.1", free_port()) for _ in range(2)]


class PlacedStandby(Standby):
    """A standby in a place."""

    def __init__(self, directory: Path, primary: Postgres, place: Place, url: str) -> None:
        """Prepare a standby that follows its primary at a URL."""
        super().__init__(directory, primary, url)
        self.place, self.port = place, place.port

    @property
    def url(self) -> str:
        """Return where clients connect."""
        return super().url.replace("127.0.0.1", self.place.address)

    def start(self) -> Self:
        """Start it; anybody may connect who reaches it."""
        self.prepare()
        if self._initdb is not None:
            self._initdb.wait()
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write(EVERYBODY)
        return super().start()

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        host = self.place.host
        prefix = host.prefix if host else ()
        listening = ("-c", f"listen_addresses={self.place.address}")
        return [*prefix, *super().command(), *listening, *KEPT]

    def kill(self) -> None:
        """End it with SIGKILL: nothing is said to anybody, and its sessions end by themselves."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
        self.stop(immediate=True)


class Alternating:
    """The primary of the moment, its standby, and where both are found by a rig."""

    def __init__(self, rig: Rig, folder: Path, stack: ExitStack, hosts: Sequence[Host]) -> None:
        """Let a copy of the rig's server take its place, while nobody writes."""
        self._rig, self._folder, self._stack = rig, folder, stack
        self._numbers, self._places = count(), cycle(places(hosts))
        self.both = [next(self._places), next(self._places)]
        # On the way from a primary to its standby.
        self.replication = stack.enter_context(Link(rig.postgres.port))
        self.link = stack.enter_context(Link(rig.postgres.port))
        self.former: PlacedStandby | None = None
        self.primary = self._copy(rig.postgres)
        self.primary.promote()
        self._lead()
        self.standby = self.primary

    @property
    def hosts_url(self) -> str:
        """Return the address of both places: whichever takes writes."""
        hosts = ",".join(f"{place.address}:{place.port}" for place in self.both)
        return f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"

    @property
    def link_url(self) -> str:
        """Return the address that moves."""
        return f"postgresql://postgres@127.0.0.1:{self.link.port}/postgres"

    def add_standby(self) -> None:
        """Let another follow in the other place, unless one is there."""
        if self.standby is self.primary:
            self.end_former()
            self.replication.server_port = self.primary.port
            self.replication.server_host = self.primary.place.address
            self.standby = self._copy(self.primary)
        follow_synchronously(self.primary)

    def take_over(self) -> None:
        """Promote the standby, and lead everybody there who connects anew."""
        self.standby.promote()
        self.former, self.primary = self.primary, self.standby
        self._lead()

    def end_former(self) -> None:
        """End the one that was primary before, if it lives on."""
        if self.former is not None:
            if self.former.place.host:
                self.former.place.host.join()
            self.former.kill()
            self.former = None

    def _copy(self, of: Postgres) -> PlacedStandby:
        place = next(self._places)
        # A host does not reach this one's loopback.
        url = of.url if place.host else self.replication.through(of.url)
        directory = self._folder / str(next(self._numbers))
        return self._stack.enter_context(PlacedStandby(directory, of, place, url))

    def _lead(self) -> None:
        rig, primary = self._rig, self.primary
        self.link.server_host, self.link.server_port = primary.place.address, primary.port
        rig.postgres, service = primary, rig.service
        service.database.close()
        service.database_url, service.database = primary.url, Database(primary.url)
