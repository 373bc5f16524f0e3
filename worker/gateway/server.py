"""The HTTP server: uvicorn, with clients that keep it waiting let go.

Listens before anything else, so that a port that is taken is an error of the command.
TLS, and the public internet, are for a proxy in front.
"""

from __future__ import annotations

import logging
import resource
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from worker.garbage import collect_seldom
from worker.gateway import terms
from worker.gateway.problems import problem
from worker.monitoring.lines import HumanFormatter, JsonFormatter
from worker.settings import SettingsError

if TYPE_CHECKING:
    import asyncio

    from starlette.applications import Starlette

# As long a client may leave its answer unread once no more of it fits into the buffers.
SEND_SECONDS = 30.0
# Longer than proxies keep a connection that they may still use.
KEEP_ALIVE_SECONDS = 75
BACKLOG = 2_048


class Connection(HttpToolsProtocol):
    """A connection whose client has to be quick enough."""

    _due: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait_for_request()

    def on_message_begin(self) -> None:
        """Wait for the rest of a request."""
        self._wait_for_request()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the client to read its answer."""
        super().pause_writing()
        self._unread = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Wait no more for that."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Tell a client that it does not speak HTTP, in the form that every error has."""
        self._refuse(400, msg)

    def _wait_for_request(self) -> None:
        self._stop_waiting()
        self._due = self.loop.call_later(terms.RECEIVE_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _give_up(self) -> None:
        if self.cycle is not None and self.cycle.response_started:
            self.transport.close()
            return
        self._refuse(408, terms.TOO_SLOW)

    def _refuse(self, status: int, message: str) -> None:
        answer = problem(status, message, {"Connection": "close"})
        head = [b"HTTP/1.1 %d \r\n" % status]
        head += [b"%s: %s\r\n" % header for header in answer.raw_headers]
        self.transport.write(b"".join([*head, b"\r\n", bytes(answer.body)]))
        self.transport.close()


def listen(host: str, port: int) -> socket.socket:
    """Listen.

    Raises:
        SettingsError: It is not possible.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise SettingsError(
            f"SETTLE_GATEWAY_PORT: cannot listen on {host}, port {port}: {reason}"
        ) from error


def serve(application: Starlette, server: socket.socket, *, stop_timeout_seconds: float) -> None:
    """Serve until told to stop: by SIGTERM or SIGINT, answering what was asked before."""
    _allow_many_connections()
    collect_seldom()
    config = uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(stop_timeout_seconds)),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    running = uvicorn.Server(config)

    def stop(*_: object) -> None:
        running.should_exit = True

    # For a signal that comes before uvicorn listens for it. It also raises the
    # signal again when it has stopped: that it did is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    running.run(sockets=[server])


def _allow_many_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def log_as(log_format: str) -> None:
    """Write the log to stderr, in the form that the settings name."""
    is_terminal = sys.stderr.isatty()
    in_json = log_format == "json" or (log_format == "auto" and not is_terminal)
    handler = logging.StreamHandler()
    form: Any = JsonFormatter() if in_json else HumanFormatter(color=is_terminal)
    handler.setFormatter(form)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # Whoever does not speak HTTP has been told so.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
