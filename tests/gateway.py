"""The HTTP door as its clients see it: a real process, and nothing but HTTP.

The client is the standard library's, so that what is asked is just what is sent.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from cli.embedded import free_port
from tests.service import PATIENCE_SECONDS, LoggedProcess

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.service import Service

EVENTS = "/v2/api/events"
BATCH = "/v2/api/events/batch"
JSON = {"Content-Type": "application/json"}
NUMBERS = itertools.count(1)


def new_key(*options: str) -> tuple[str, str]:
    """Draw a key as an operator does; return what its holder sends, and what the file needs."""
    ended = subprocess.run(
        [sys.executable, "-m", "cli", "gateway", "new-key", *options],
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stderr.split()[-1], ended.stdout


class Answer(NamedTuple):
    """What a request was answered with; the names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return what the body says."""
        return json.loads(self.body)


class Gateway(LoggedProcess):
    """A `settle gateway` process."""

    def __init__(
        self,
        log: Path,
        environment: dict[str, str],
        *,
        module: str = "cli",
        host: str = "",
        folder: str = "",
    ) -> None:
        """Start it, on a port that is free.

        Args:
            log: What it writes.
            environment: All of it, but for the port.
            module: `cli`, or one that changes something before it runs the same command.
            host: Where it listens, if it is not to be the default.
            folder: Where it is started, if not here.
        """
        self.host, self.port = host or "127.0.0.1", free_port()
        environment = {**environment, "SETTLE_GATEWAY_PORT": str(self.port)}
        if host:
            environment["SETTLE_GATEWAY_HOST"] = host
        command = (sys.executable, "-m", module, "gateway")
        super().__init__(log, environment, *command, folder=folder)

    @property
    def url(self) -> str:
        """Return where it is."""
        return f"http://{self.host}:{self.port}"

    def connect(self) -> HTTPConnection:
        """Open a connection for several requests."""
        return HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request over a connection of its own."""
        connection = self.connect()
        try:
            return ask(connection, method, path, body, headers)
        finally:
            connection.close()

    def patch(self, updates: Any, **headers: str) -> Answer:
        """Send updates; `idempotency_key=…` is the header Idempotency-Key."""
        return self.ask("PATCH", BATCH, json.dumps(updates), {**JSON, **named(headers)})

    def get(self, id_: str, **headers: str) -> Answer:
        """Ask for an event."""
        return self.ask("GET", path_of(id_), headers=named(headers))


class Gateways:
    """The gateways of a service, as many as a test starts."""

    def __init__(self, service: Service, database_url: str = "") -> None:
        """Start none yet.

        Args:
            service: Whose.
            database_url: How they reach the database, if not as workers do.
        """
        self.service = service
        self.database_url = database_url or service.environment["DATABASE_URL"]
        self.started: list[Gateway] = []

    def start(
        self, *, module: str = "cli", host: str = "", folder: str = "", **settings: str
    ) -> Gateway:
        """Start one and wait until it listens."""
        log = self.service.folder / f"gateway-{next(NUMBERS)}.log"
        users = self.service.users
        own = {"DATABASE_URL": self.database_url}
        environment = {**os.environ, **self.service.environment, **own, **settings}
        for name in ("CELERY_BROKER_URL", "SETTLE_OUTCOME_URL"):
            if environment[name] == users.worker:
                environment[name] = users.gateway
        gateway = Gateway(log, environment, module=module, host=host, folder=folder)
        self.started.append(gateway)
        gateway.wait_for_log("gateway starts")
        return gateway

    def close(self) -> None:
        """Stop them."""
        for gateway in self.started:
            if gateway.process.poll() is None:
                gateway.kill()


def ask(
    connection: HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send a request and read its answer; the connection stays open if both sides wish so."""
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    received = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, received, answer.read())


def path_of(id_: str) -> str:
    """Return where an event is."""
    return f"/v2/api/events/{quote(id_, safe='')}"


def named(headers: Mapping[str, str]) -> dict[str, str]:
    """Write the names of headers as HTTP has them."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


def completed(*ids: str) -> list[dict[str, str]]:
    """Make updates that complete events."""
    return [{"id": id_, "status": "completed"} for id_ in ids]


def statuses(service: Service, *ids: str) -> list[str | None]:
    """Return how events stand in the table."""
    rows = service.database.read_events(ids)
    return [rows[id_].status for id_ in ids]


def published(service: Service) -> list[dict[str, Any]]:
    """Return what the stream of outcomes holds."""
    entries = service.channel.xrange("event-outcomes")
    return [json.loads(fields["outcome"]) for _, fields in entries]


def check_is_problem(answer: Answer, status: int, error: str, message: str = "") -> None:
    """Check that an answer is an error, in the one form."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    problem = answer.json
    assert list(problem) == ["error", "message", "statusCode"]
    assert (problem["error"], problem["statusCode"]) == (error, status)
    assert message in problem["message"], problem
