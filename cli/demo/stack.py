"""The demo's surroundings: servers where none are configured, and a real worker."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from cli.embedded import Postgres, Redis, dies_with_parent, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STOP_SECONDS = 30
WORKER = (
    *("celery", "-A", "worker", "worker", "--loglevel", "INFO"),
    *("--without-mingle", "--without-gossip"),
)


class Stack:
    """The environment that the demo's processes share, and those processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1", "C_FORCE_ROOT": "1"}
        # The demo counts the batches by the log.
        self.environment["SETTLE_LOG_FORMAT"] = "json"
        self._closers: list[Callable[[], None]] = []
        self._postgres: Postgres | None = None

    def start_broker(self) -> None:
        """Start a broker, and begin to prepare a database, unless they are configured."""
        if not os.environ.get("DATABASE_URL"):
            self._postgres = Postgres(self.folder / "postgres")
            self._closers.append(self._postgres.stop)
            self._postgres.prepare()
        if not os.environ.get("CELERY_BROKER_URL"):
            broker = Redis(self.folder / "redis").start()
            self._closers.append(broker.stop)
            self._set("CELERY_BROKER_URL", broker.url)

    def start_database(self) -> None:
        """Start a database, unless one is configured."""
        if self._postgres is not None:
            self._postgres.start()

    def reserve_database(self) -> None:
        """Say where the database will be, for processes that start before it does."""
        if self._postgres is not None:
            self._set("DATABASE_URL", self._postgres.url)

    def _set(self, name: str, url: str) -> None:
        # For this process too, which reads its settings from there.
        os.environ[name] = self.environment[name] = url

    def urls(self) -> dict[str, str]:
        """Return where the servers are, as environment variables."""
        names = ("CELERY_BROKER_URL", "DATABASE_URL")
        return {name: self.environment[name] for name in names if name in self.environment}

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
def stack() -> Iterator[Stack]:
    """Give the demo its surroundings, and take all of it down again."""
    with temporary_folder() as folder:
        running = Stack(folder)
        try:
            yield running
        finally:
            running.close()
