"""The little HTTP server of a process that has no other: `/metrics`, `/livez`, `/readyz`.

For a Prometheus and for probes, in plain text, on loopback unless set
otherwise. Nobody is asked who they are. No secret is in it, and no content of a
message; but why a server does not answer may name it, and the user.
"""

from __future__ import annotations

import os
import socket
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client import CollectorRegistry

    # Whether it holds, and why.
    Judgement = tuple[bool, str]

SILENT_CLIENT_SECONDS = 5


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _ServerOfSix(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    # Whoever connects and says nothing is let go.
    timeout = SILENT_CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called there
        """Say nothing: a line for every probe is of no use."""


class Exposition:
    """Listens from when it is made, and answers from when it is started."""

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        probes: Mapping[str, Callable[[], Judgement]],
    ) -> None:
        """Listen.

        Args:
            host: On which address.
            port: On which port.
            registry: Of its metrics.
            probes: What is asked for each path.

        Raises:
            OSError: It cannot.
        """
        self._probes, self._metrics = probes, make_wsgi_app(registry)
        server = _ServerOfSix if ":" in host else _Server
        self._server = make_server(host, port, self._answer, server, _Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        # A pool's child that outlives this process must not keep the port.
        os.register_at_fork(after_in_child=self._server.socket.close)

    def start(self) -> None:
        """Answer, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more, and do not listen."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            exposed: Iterable[bytes] = self._metrics(environ, start_response)
            return exposed
        if path not in self._probes:
            status, text = "404 Not Found", f"/metrics, {', '.join(self._probes)}"
        else:
            holds, text = self._probes[path]()
            status = "200 OK" if holds else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]
