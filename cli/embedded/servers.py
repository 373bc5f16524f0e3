"""The two servers as child processes of this one."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, Self

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.embedded.binaries import (
    ServerUnavailable,
    dies_with_parent,
    postgres_binaries,
    redis_binary,
)
from cli.embedded.places import free_port, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 30.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.01
LOG_LINES_SHOWN = 5


class Server:
    """A server process on a loopback port, which keeps its data and port over a restart."""

    stop_signal = signal.SIGTERM
    immediate_signal = signal.SIGKILL
    # Sent by the kernel should this process die without stopping the server.
    orphan_signal = "TERM"
    user: str | None = None

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        """Prepare a server whose data will be in a folder, made if it does not exist."""
        # Absolute: the server runs in it, and is recognised by it.
        self.directory = directory.resolve()
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return where clients connect."""
        raise NotImplementedError

    @property
    def pid(self) -> int | None:
        """Return the process id, None while it is stopped."""
        return self._process.pid if self._process else None

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Return whether this very server answers, and not another on its port.

        Raises:
            psycopg.Error, redis.RedisError: Nobody does.
        """
        raise NotImplementedError

    def start(self) -> Self:
        """Start the server, unless it runs, and wait until it answers.

        The kernel ends a server with the thread that started it: start it from one that stays.

        Raises:
            ServerUnavailable: It did not; the text ends with its last words.
        """
        if self._process is not None and self._process.poll() is None:
            return self
        self.directory.mkdir(parents=True, exist_ok=True)
        self._process = self._spawn(self.command())
        atexit.register(self.stop)
        try:
            self._wait_until_it_answers(self._process)
        except BaseException:  # also Ctrl-C: no `with` block would stop it yet
            self.stop(immediate=True)
            raise
        return self

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        try:
            with self._log_path.open("ab") as log:
                return subprocess.Popen(  # noqa: S603 - arguments of our own
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.directory,
                    # Ctrl-C is for the parent, which then stops its servers in order.
                    start_new_session=True,
                    user=self.user,
                    # Root's groups would be left to it otherwise.
                    group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                    extra_groups=[] if self.user else None,
                )
        except OSError as error:
            raise self._failure(str(error)) from error

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(psycopg.Error, redis.RedisError):
                if self.answers():
                    return
            time.sleep(POLL_SECONDS)
        raise self._failure()

    def _failure(self, reason: str = "") -> ServerUnavailable:
        words = self._log_path.read_text(errors="replace").strip().splitlines()
        reason = reason or " | ".join(words[-LOG_LINES_SHOWN:])
        return ServerUnavailable(f"{type(self).__name__} did not start: {reason}")

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server, if it runs.

        Args:
            immediate: As in a crash, without the server's own shutdown.
        """
        process, self._process = self._process, None
        atexit.unregister(self.stop)
        if process is None:
            return
        process.send_signal(self.immediate_signal if immediate else self.stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def _log_path(self) -> Path:
        return self.directory / "server.log"

    def __enter__(self) -> Self:
        return self if self._process else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Redis(Server):
    """A Valkey or Redis server; without persistence unless asked for."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        append_only: bool = False,
        append_fsync: str = "everysec",
    ) -> None:
        super().__init__(directory, port=port)
        self._persistence = ["--save", ""]
        if append_only:
            self._persistence += ["--appendonly", "yes", "--appendfsync", append_fsync]

    @property
    def url(self) -> str:
        """Return where clients connect."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)]
        options += ["--maxmemory-policy", "noeviction", *self._persistence]
        return [*dies_with_parent(self.orphan_signal), redis_binary(), *options]

    def answers(self) -> bool:
        """Return whether this very server answers, and not another on its port."""
        with redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0)) as client:
            # INFO is answered also while data is loaded, PING is not.
            return bool(client.ping() and client.info("server")["process_id"] == self.pid)


class Postgres(Server):
    """A PostgreSQL server with one superuser, `postgres`, and no password."""

    stop_signal = signal.SIGINT  # fast: sessions are ended, data is flushed
    immediate_signal = signal.SIGQUIT
    orphan_signal = "INT"

    def __init__(self, directory: Path, *, port: int | None = None, durable: bool = False) -> None:
        super().__init__(directory, port=port)
        self._durability = [] if durable else ["-c", "fsync=off", "-c", "full_page_writes=off"]
        self._initdb: subprocess.Popen[bytes] | None = None
        self._bin, self._prefix, self.user = postgres_binaries(directory.parent)

    @property
    def url(self) -> str:
        """Return where clients connect."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def binary(self, name: str) -> Path:
        """Return where a program of this PostgreSQL is."""
        return self._bin / name

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def prepare(self) -> Self:
        """Begin to make the data folder, in the background; `start` waits for it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._initdb is not None or self._data.exists():
            return self
        if self.user is not None:
            shutil.chown(self.directory, self.user)
        initdb = [
            *self._prefix,
            *dies_with_parent("TERM"),
            *(str(self.binary("initdb")), "--pgdata", str(self._data)),
            *("--username", "postgres", "--auth", "trust"),
            *("--locale", "C", "--encoding", "UTF8", "--no-sync", "--no-instructions"),
        ]
        self._initdb = self._spawn(initdb)
        return self

    def start(self) -> Self:
        """Start the server, on a new data folder if there is none, and wait until it answers."""
        self.prepare()
        if self._initdb is not None:
            process, self._initdb = self._initdb, None
            if process.wait() != 0:
                shutil.rmtree(self._data, ignore_errors=True)
                raise self._failure()
        return super().start()

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server, if it runs, or the making of its data folder."""
        process, self._initdb = self._initdb, None
        if process is not None:
            # It removes what it has made so far, which could not start a server.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            shutil.rmtree(self._data, ignore_errors=True)
        super().stop(immediate=immediate)

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        return [
            *self._prefix,
            *dies_with_parent(self.orphan_signal),
            *(str(self.binary("postgres")), "-D", str(self._data), "-p", str(self.port)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
            *self._durability,
        ]

    def answers(self) -> bool:
        """Return whether this very server answers, and not another on its port."""
        with psycopg.connect(self.url, connect_timeout=2) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
            return row == (str(self._data),)


class Servers(NamedTuple):
    """One of each."""

    postgres: Postgres
    redis: Redis


@contextmanager
def servers() -> Iterator[Servers]:
    """Run both servers in a temporary folder while the `with` block lasts.

    Raises:
        ServerUnavailable: One of them cannot be started here.
    """
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_folder())
        postgres = Postgres(directory / "postgres")
        stack.callback(postgres.stop)  # also should the other fail while initdb still writes
        postgres.prepare()
        valkey = stack.enter_context(Redis(directory / "redis"))
        yield Servers(postgres.start(), valkey)
