"""The HTTP server: uvicorn, with connections of our own (`gateway.serving.connection`).

Listens before anything else, so that a port that is taken is an error of the command.
TLS, and the public internet, are for a proxy in front.
"""

from __future__ import annotations

import errno
import logging
import resource
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn

from gateway.serving.connection import Connection
from service import log
from service.garbage import collect_seldom
from service.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette

# Longer than proxies keep a connection that they may still use.
KEEP_ALIVE_SECONDS = 75
BACKLOG = 2_048


def listen(host: str, port: int, prefix: str = "SETTLE_GATEWAY") -> socket.socket:
    """Listen.

    Args:
        host: A name or an address.
        port: Of TCP.
        prefix: What the settings are called that say so.

    Raises:
        SettingsError: It is not possible.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        is_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
        name = f"{prefix}_PORT" if is_port else f"{prefix}_HOST"
        raise SettingsError(f"{name}: cannot listen on {host}, port {port}: {reason}") from error


class Server(uvicorn.Server):
    """uvicorn's, which says that it stops before it waits for answers: some do not end."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say it, and stop."""
        self._on_stop()
        await super().shutdown(sockets)


def serve(application: Starlette, server: socket.socket, *, stop_timeout_seconds: float) -> None:
    """Serve until asked to stop: by SIGTERM or SIGINT, answering what was asked before.

    What has no end is ended by `let_listeners_go` of the application's state.
    """
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
    running = Server(config, application.state.let_listeners_go)

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
        # Where there is no hard limit, some systems have another that they do not tell.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def log_as(log_format: str) -> None:
    """Write the log to stderr, in the form that the settings name."""
    log.log_as(log_format)
    # Whoever does not speak HTTP has been answered.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
