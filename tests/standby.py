"""A standby of a PostgreSQL server of the tests' own, which can take its place."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import psycopg

from cli.embedded import Postgres, ServerUnavailable, dies_with_parent, temporary_folder
from db.migrate import migrate
from tests.service import eventually
from tests.started import or_skipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Whether the standby has all that the primary has written.
FOLLOWED = """
SELECT bool_or(sync_state = 'sync' AND replay_lsn >= pg_current_wal_lsn())
FROM pg_stat_replication
"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


class Standby(Postgres):
    """A copy of another server that follows it, until it is promoted."""

    def __init__(self, directory: Path, primary: Postgres, url: str = "") -> None:
        """Prepare a standby whose data will be in a folder; the primary runs.

        Args:
            directory: The folder.
            primary: Of what it is a copy.
            url: Where it follows the primary, if not at its own address.
        """
        super().__init__(directory)
        self._primary_url = url or primary.url

    def prepare(self) -> Self:
        """Begin to copy the primary, in the background; `start` waits for it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._initdb is not None or self._data.exists():
            return self
        if self.user is not None:
            shutil.chown(self.directory, self.user)
        self._initdb = self._spawn(
            [
                *(*self._prefix, *dies_with_parent("TERM")),
                *(str(self._bin / "pg_basebackup"), "--pgdata", str(self._data)),
                *("--dbname", self._primary_url, "--write-recovery-conf", "--no-sync"),
                *("--wal-method", "stream", "--checkpoint", "fast"),
            ]
        )
        return self

    def promote(self) -> None:
        """Let it take writes, and follow nobody any more."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            assert connection.execute("SELECT pg_promote()").fetchone() == (True,)


class Pair(NamedTuple):
    """A primary and its standby."""

    primary: Postgres
    standby: Standby

    @property
    def url(self) -> str:
        """Return the address of both: whichever takes writes."""
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"

    def switch(self) -> None:
        """Let the standby take over; the old primary keeps its sessions, and takes no writes."""
        self.standby.promote()
        set_read_only(self.primary.url, "on")
        wait_until_read_only(self.primary.url)


def follow_synchronously(primary: Postgres) -> None:
    """Let a primary commit nothing any more that its standby has not got."""
    alter(primary, "SET synchronous_standby_names = '*'")
    wait_for(primary, FOLLOWED, True)


def set_read_only(url: str, value: str) -> None:
    """Change what a server's transactions may do, those of the sessions that it has too."""
    _alter(url, f"SET default_transaction_read_only = {value}")


def alter(server: Postgres, what: str) -> None:
    """Change how a server is set."""
    _alter(server.url, what)


def _alter(url: str, what: str) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"ALTER SYSTEM {what}".encode())
        owner.execute("SELECT pg_reload_conf()")


def wait_for(server: Postgres, query: str, answer: Any) -> None:
    """Wait until a server answers so."""
    with psycopg.connect(server.url, autocommit=True) as owner:
        eventually(lambda: owner.execute(query.encode()).fetchone() == (answer,))


def wait_until_read_only(url: str) -> None:
    """Wait until a server does what it was told."""

    def is_read_only() -> bool:
        with psycopg.connect(url) as connection:
            return connection.execute("SHOW transaction_read_only").fetchone() == ("on",)

    eventually(is_read_only)


@contextmanager
def pair() -> Iterator[Pair]:
    """Run a migrated primary and its standby, or skip the test where that cannot be."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        with or_skipped(ServerUnavailable):
            primary = stack.enter_context(Postgres(folder / "primary"))
            migrate(primary.url)
            standby = stack.enter_context(Standby(folder / "standby", primary))
        yield Pair(primary, standby)
