"""A process of a run: it ends with the run, and tells why should it end before."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from bench.errors import BenchError
from cli.embedded import dies_with_parent

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.05
# Of what it has written: the last line is in them.
LAST_BYTES = 10_000


class Process(subprocess.Popen[bytes]):
    """A process of which nothing is kept but its errors."""

    def __init__(self, command: list[str], environment: dict[str, str], errors: IO[bytes]) -> None:
        """Start it.

        Args:
            command: What to run.
            environment: All of its variables.
            errors: A file for what it writes to stderr.
        """
        self._errors = errors
        super().__init__(
            [*dies_with_parent("KILL"), *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
        )

    def last_words(self) -> str:
        """Return with which code it has ended, and the last line of its errors."""
        code = self.poll()
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        size = os.fstat(self._errors.fileno()).st_size
        written = os.pread(self._errors.fileno(), LAST_BYTES, max(0, size - LAST_BYTES))
        lines = written.decode(errors="replace").strip().splitlines()
        return f"{how}: {lines[-1].strip() if lines else 'it wrote nothing'}"

    def end(self) -> None:
        """End it and its children, however they stand."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()


@contextmanager
def process(command: list[str], environment: dict[str, str]) -> Iterator[Process]:
    """Run a process while the `with` block lasts."""
    with tempfile.TemporaryFile() as errors:
        running = Process(command, environment, errors)
        try:
            yield running
        finally:
            running.end()


@contextmanager
def listening(command: list[str], environment: dict[str, str], port: int) -> Iterator[Process]:
    """Run a server while the `with` block lasts, from when it listens on.

    Raises:
        BenchError: It does not.
    """
    with process(command, environment) as running:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if running.poll() is not None:
                raise BenchError(f"it did not start, {running.last_words()}")
            if time.monotonic() > deadline:
                raise BenchError(f"it did not start: {' '.join(command)}")
            time.sleep(POLL_SECONDS)
        yield running
