"""`settle webhooks` as its operator runs it, and an endpoint: a server that verifies and records.

What the endpoint does is said by a test, request by request; a signature that does not
verify by the library of Standard Webhooks is recorded, and never passes in silence.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from standardwebhooks import Webhook, WebhookVerificationError

from cli.endpoints import fields_of
from service.channel import Channel
from settle_client.redis_server import open_reader
from tests.service import LoggedProcess
from webhooks.looking import look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from webhooks.looking import Standing

SECRET = "whsec_" + "c2VjcmV0" * 4
OTHER_SECRET = "whsec_" + "b3RoZXIh" * 4
LOOPBACK = "127.0.0.0/8"


class Request(NamedTuple):
    """What an endpoint was sent."""

    path: str
    headers: dict[str, str]
    body: Any
    text: str

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """Return the outcomes in it."""
        if self.headers["content-type"] == "application/cloudevents-batch+json":
            return [event["data"] for event in self.body]
        found: list[dict[str, Any]] = self.body["data"]["outcomes"]
        return found


class Reply(NamedTuple):
    """What an endpoint answers; without a status it never does."""

    status: int | None = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    raw: bytes = b""


def accept(_: Request) -> Reply:
    """Take whatever is sent."""
    return Reply()


class Receiver:
    """An HTTP server on loopback; each path is an endpoint."""

    def __init__(
        self,
        answer: Callable[[Request], Reply] = accept,
        secret: str = SECRET,
        certificate: Any = None,
    ) -> None:
        self.answer, self.requests, self.forged = answer, list[Request](), list[str]()
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self._verify = Webhook(secret).verify
        self._lock, self.released = threading.Lock(), threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]

    def url(self, path: str = "/") -> str:
        """Return where an endpoint is."""
        return f"http://127.0.0.1:{self.port}{path}"

    def ids(self, path: str = "/") -> list[str]:
        """Return the events of the outcomes that an endpoint has taken, in order."""
        with self._lock:
            return [outcome["id"] for at, outcome in self.taken if at == path]

    def outcomes(self, path: str = "/") -> list[dict[str, Any]]:
        """Return the outcomes that an endpoint has taken, in order."""
        with self._lock:
            return [outcome for at, outcome in self.taken if at == path]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        try:
            found = self._verify(body, headers)
        except WebhookVerificationError as error:
            self.forged.append(str(error))
            return Reply(400)
        request = Request(path, headers, found, body.decode())
        with self._lock:
            self.requests.append(request)
            reply = self.answer(request)
            if reply.status is not None and reply.status // 100 == 2:
                self.taken += [(path, outcome) for outcome in request.outcomes]
        return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                body = self.rfile.read(size)
                if len(body) < size:
                    # Who sent it was killed.
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                with suppress(OSError):
                    self._say(receiver._take(self.path, headers, body))

            def _say(self, reply: Reply) -> None:
                if reply.raw:
                    self.wfile.write(reply.raw)
                    self.close_connection = True
                    return
                if reply.status is None:
                    receiver.released.wait()
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler


def endpoint(name: str, url: str, *, accounts: Any = "all", **fields: Any) -> str:
    """Write an endpoint as the file has it."""
    values = {"name": name, "url": url, "accounts": accounts, "secrets": [SECRET], **fields}
    return "\n".join(["[[endpoint]]", *(f"{k} = {json.dumps(v)}" for k, v in values.items()), ""])


class Webhooks:
    """The processes of a test, and their file of endpoints."""

    def __init__(self, folder: Path, redis_url: str, *endpoints: str, **settings: str) -> None:
        """Start none yet."""
        self.folder, self.file = folder, folder / "webhooks.toml"
        self.write(*endpoints)
        self.environment = {
            **os.environ,
            "CELERY_BROKER_URL": redis_url,
            "SETTLE_WEBHOOKS_FILE": str(self.file),
            "SETTLE_WEBHOOKS_ALLOWED_NETWORKS": LOOPBACK,
            "SETTLE_WEBHOOKS_TIMEOUT_SECONDS": "1",
            "SETTLE_WEBHOOKS_RETRY_MAX_WAIT_SECONDS": "0.2",
            **settings,
        }
        self.environment.pop("SETTLE_OUTCOME_URL", None)
        self.started: list[LoggedProcess] = []

    def write(self, *endpoints: str) -> None:
        """Write the file of endpoints."""
        self.file.write_text("\n".join(endpoints), "utf-8")

    def start(self, **settings: str) -> LoggedProcess:
        """Start one, and wait until it has begun."""
        log = self.folder / f"webhooks-{len(self.started)}.log"
        environment = {**self.environment, **settings}
        process = LoggedProcess(log, environment, sys.executable, "-m", "cli", "webhooks")
        self.started.append(process)
        process.wait_for_log("webhooks start")
        return process

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command about them."""
        return subprocess.run(
            [sys.executable, "-m", "cli", "webhooks", *arguments],
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            check=False,
        )

    def do(self, *arguments: str) -> str:
        """Run a command that works, and return what it prints."""
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def standing(self, name: str) -> dict[str, Any]:
        """Return how an endpoint stands, as the command lists it."""

        async def ask() -> Standing:
            channel = Channel(open_reader(self.environment["CELERY_BROKER_URL"], asynchronous=True))
            try:
                (standing,) = await look(channel, [name])
                return standing
            finally:
                await channel.close()

        return fields_of(asyncio.run(ask()))

    def close(self) -> None:
        """Stop them."""
        for process in self.started:
            if process.process.poll() is None:
                process.kill()


def publish(channel: Any, ids: Iterable[str], account: str = "acct_1", message: str = "") -> None:
    """Put an outcome for each event into the stream, in order, as workers do."""
    with channel.pipeline(transaction=False) as pipe:
        for place, id_ in enumerate(ids):
            outcome = {"id": id_, "updated": True, "status": "completed", "reason": None}
            outcome |= {"messageId": message or f"m-{id_}", "index": place, "accountId": account}
            pipe.xadd("event-outcomes", {"outcome": json.dumps(outcome)})
        pipe.execute()


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def has_group(channel: Any) -> bool:
    """Return whether outcomes are read by now."""
    with suppress(Exception):
        return any(group["name"] == "webhooks" for group in channel.xinfo_groups("event-outcomes"))
    time.sleep(0.01)
    return False
