"""The demo's surroundings: servers of its own, or those that were asked for, and a real worker."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING

from cli.embedded import Postgres, Redis, dies_with_parent, temporary_folder
from cli.interruption import undisturbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STOP_SECONDS = 30
WORKER = (
    *("celery", "-A", "worker", "worker", "--loglevel", "INFO"),
    *("--without-mingle", "--without-gossip"),
)


# What names somebody's servers, or changes what a process does with them.
OF_OTHERS = ("DATABASE_URL", "PG", "CELERY_", "SETTLE_", "FLOWER_", "OTEL_")


class Stack:
    """The environment that the demo's processes share, and those processes."""

    def __init__(self, folder: Path, *, has_own_servers: bool = True) -> None:
        self.folder, self.has_own_servers = folder, has_own_servers
        self.removed: list[str] = []
        if has_own_servers:
            # For this process too, which reads its settings from there.
            self.removed = sorted(name for name in os.environ if name.startswith(OF_OTHERS))
            for name in self.removed:
                del os.environ[name]
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1", "C_FORCE_ROOT": "1"}
        # The demo counts the batches by the log.
        self.environment["SETTLE_LOG_FORMAT"] = "json"
        self._closers: list[Callable[[], None]] = []
        self._postgres: Postgres | None = None

    def start_broker(self) -> None:
        """Start a broker, and begin to prepare a database, unless they are somebody's."""
        if self.has_own_servers:
            self._postgres = Postgres(self.folder / "postgres")
            self._closers.append(self._postgres.stop)
            self._postgres.prepare()
            broker = Redis(self.folder / "redis").start()
            self._closers.append(broker.stop)
            self._set("CELERY_BROKER_URL", broker.url)

    def at_end(self, close: Callable[[], None]) -> None:
        """Do something when what was started after this has ended."""
        self._closers.append(close)

    def start_database(self) -> None:
        """Start a database, unless it is somebody's."""
        if self._postgres is not None:
            self._postgres.start()

    def reserve_database(self) -> None:
        """Say where the database will be, for processes that start before it does."""
        if self._postgres is not None:
            self._set("DATABASE_URL", self._postgres.url)

    def _set(self, name: str, url: str) -> None:
        os.environ[name] = self.environment[name] = url

    def urls(self) -> dict[str, str]:
        """Return where the demo's own servers are, as environment variables."""
        names = ("CELERY_BROKER_URL", "DATABASE_URL") if self.has_own_servers else ()
        return {name: self.environment[name] for name in names if name in self.environment}

    @property
    def psql(self) -> str:
        """Return the `psql` of the demo's own PostgreSQL, if it has one."""
        return str(self._postgres.binary("psql")) if self._postgres is not None else ""

    def start(self, *command: str, on_line: Callable[[str], None]) -> subprocess.Popen[str]:
        """Start a process of the demo's; each line it writes is handed on."""
        process = subprocess.Popen(  # noqa: S603 - arguments of our own
            [*dies_with_parent("TERM"), sys.executable, "-m", *command],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        threading.Thread(target=_read, args=(process.stdout, on_line), daemon=True).start()
        self._closers.append(lambda: _stop(process))
        return process

    def close(self) -> None:
        """Stop everything, in the opposite order."""
        while self._closers:
            self._closers.pop()()


def _read(stream: IO[str], on_line: Callable[[str], None]) -> None:
    for line in stream:
        on_line(line)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def stack(*, has_own_servers: bool = True) -> Iterator[Stack]:
    """Give the demo its surroundings, and take all of it down again.

    Args:
        has_own_servers: Whether to start servers; otherwise those of the settings are used.
    """
    with ExitStack() as at_end:
        running = Stack(at_end.enter_context(temporary_folder()), has_own_servers=has_own_servers)
        at_end.callback(running.close)
        try:
            yield running
        finally:
            with undisturbed():
                at_end.close()
