"""A database host that is cut off while a commit is waited for: nothing says that it is gone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Self

import pytest

from cli.embedded import Postgres, temporary_folder
from db import Database, Settlement, TransientDatabaseError
from db.loading import NewEvent, load_events
from db.migrate import migrate
from tests.hosts import Host, HostsUnavailable, hosts
from tests.service import PATIENCE_SECONDS
from tests.standby import WAITING, alter, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Elsewhere(Postgres):
    """A server on a host of its own."""

    def __init__(self, directory: Path, host: Host) -> None:
        super().__init__(directory)
        self.host = host

    @property
    def url(self) -> str:
        """Return where clients connect."""
        return super().url.replace("127.0.0.1", self.host.address)

    def start(self) -> Self:
        """Start it; anybody may connect who reaches it."""
        self.prepare()
        if self._initdb is not None:
            self._initdb.wait()
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all all trust\n")
        return super().start()

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        listening = ("-c", f"listen_addresses={self.host.address}")
        return [*self.host.prefix, *super().command(), *listening]


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """Give a server on another host, or skip the test where there can be none."""
    try:
        with (
            temporary_folder() as folder,
            hosts(1) as (host,),
            Elsewhere(folder / "postgres", host) as server,
        ):
            yield server
    except HostsUnavailable as error:
        pytest.skip(str(error))


def test_a_commit_that_waits_on_a_host_that_is_gone_ends(elsewhere: Elsewhere) -> None:
    """It would wait for hours: all that was sent has arrived, so nothing is sent again."""
    migrate(elsewhere.url)
    load_events(elsewhere.url, [NewEvent("ev_1", "a")])
    alter(elsewhere, "SET synchronous_standby_names = 'nobody'")
    with closing(Database(elsewhere.url)) as database, ThreadPoolExecutor() as threads:
        settlement = Settlement("ev_1", "completed", None, "m")
        settling = threads.submit(database.settle_pending_events, [settlement])
        wait_for(elsewhere, WAITING, 1)
        elsewhere.host.cut_off()
        try:
            error = settling.exception(PATIENCE_SECONDS)
        finally:
            # What waits without end has one then.
            elsewhere.host.join()
            elsewhere.stop(immediate=True)
        assert isinstance(error, TransientDatabaseError)
        assert error.connection_was_lost
