"""An HTTP server that answers from a script: what a proxy says, or something else altogether."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from email.message import Message

HTML = b"<html>Welcome!</html>"


class Asked(NamedTuple):
    """A request that has come."""

    method: str
    path: str
    headers: Message


class ScriptedServer:
    """Answers each request with the next of its answers: a status, a body, and headers.

    A body may come in pieces.
    """

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.requests: list[Asked] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            """Answers a request."""

            def answer(self) -> None:
                script.requests.append(Asked(self.command, self.path, self.headers))
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, body, *more = script.answers.pop(0)
                headers = {"Content-Type": "text/html"} if body else {}
                self.send_response(status)
                for name, value in (headers | (more[0] if more else {})).items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(ConnectionError):
                    for piece in [body] if isinstance(body, bytes) else body:
                        self.wfile.write(piece)
                        self.wfile.flush()

            do_GET = do_PATCH = do_POST = answer  # noqa: N815 - the library's names

            def log_message(self, *_: Any) -> None:
                """Write nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Return where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def json_answer(body: bytes) -> tuple[int, bytes, dict[str, str]]:
    """Make an answer of JSON."""
    return 200, body, {"Content-Type": "application/json"}
