"""A PgBouncer of the tests' own, with the configuration that docs/postgresql.md gives."""

from __future__ import annotations

import configparser
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy import make_url

from cli.embedded import Server, ServerUnavailable
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE = Path(__file__).parents[1] / "docs" / "postgresql.md"
# Debian's folder for it is not on everybody's path.
BINARY = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
# Few, so that clients are lent one after the other.
SESSIONS = 2
# It refuses to be root.
UNPRIVILEGED_USER = "nobody"


class PgBouncer(Server):
    """A pooler in front of one database."""

    def __init__(self, directory: Path, database_url: str, **settings: str) -> None:
        """Prepare a pooler.

        Args:
            directory: Where its files will be.
            database_url: The database, straight.
            settings: Those of the section `pgbouncer` that are to differ from the page.

        Raises:
            ServerUnavailable: PgBouncer is not installed here.
        """
        if not Path(BINARY).exists():
            raise ServerUnavailable("no PgBouncer: install Debian's pgbouncer")
        super().__init__(directory, port=None)
        self.user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
        self._target, self._settings = make_url(database_url), settings

    @property
    def url(self) -> str:
        """Return where clients connect."""
        return f"postgresql://anybody@127.0.0.1:{self.port}/{self._target.database}"

    def command(self) -> list[str]:
        """Return the command line that runs the pooler in the foreground."""
        path = self.directory / "pgbouncer.ini"
        with path.open("w") as file:
            self._configuration().write(file)
        path.chmod(0o644)
        return [BINARY, "pgbouncer.ini"]

    def _configuration(self) -> configparser.RawConfigParser:
        found = re.search(r"```ini\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
        assert found
        configuration = configparser.RawConfigParser()
        configuration.read_string(found[1])
        configuration["databases"] = {str(self._target.database): _words(self._address())}
        del configuration["pgbouncer"]["auth_file"]
        own = {
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            # Whoever connects is the role of the database's own URL.
            "auth_type": "any",
        }
        configuration["pgbouncer"].update(own | self._settings)
        return configuration

    def _address(self) -> Mapping[str, object]:
        target = self._target
        return {
            "host": target.host,
            "port": target.port or 5432,
            "dbname": target.database,
            "user": target.username,
            "password": target.password,
        }

    def answers(self) -> bool:
        """Return whether the database answers through it."""
        psycopg.connect(self.url, connect_timeout=1).close()
        return True


def _words(address: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in address.items() if value is not None)


@contextmanager
def in_front_of(database_url: str) -> Iterator[PgBouncer]:
    """Start a pooler with few sessions, for which nobody waits long."""
    settings = {"default_pool_size": str(SESSIONS), "query_wait_timeout": "2"}
    with started(lambda folder: PgBouncer(folder, database_url, **settings)) as pooler:
        yield pooler
