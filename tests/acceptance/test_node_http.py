"""The example for Node.js that uses the HTTP door, run as it stands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.service import PATIENCE_SECONDS
from worker.embedded import dies_with_parent, free_port

if TYPE_CHECKING:
    from tests.node import Node
    from tests.service import Service


def test_a_request_that_comes_again_gets_the_same_outcomes(node: Node, service: Service) -> None:
    """The key of a request is its message id, as the row and the outcomes show."""
    service.load("ev_1")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    gateway = subprocess.Popen(
        [*dies_with_parent("KILL"), sys.executable, "-m", "worker", "gateway"],
        env={**os.environ, **service.environment, "SETTLE_GATEWAY_PORT": str(port)},
    )
    try:
        wait_until_it_serves(f"{url}/healthz", gateway)
        command = ("update-over-http.js", "import-7", "completed", "ev_1", "ev_2")
        first = node.run(*command, SETTLE_URL=url)
        again = node.run(*command, SETTLE_URL=url)
        refused = node.run("update-over-http.js", "import-8", "done", "ev_1", SETTLE_URL=url)
    finally:
        gateway.kill()
        gateway.wait()
    known, unknown = (json.loads(line) for line in first.stdout.splitlines())
    assert (known["id"], known["updated"], known["messageId"]) == ("ev_1", True, "import-7")
    assert (unknown["id"], unknown["reason"]) == ("ev_2", "not_found")
    assert first.stdout == again.stdout
    assert service.database.read_events(["ev_1"])["ev_1"].settled_by == "import-7"
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "400 [0].status: must be 'completed' or 'failed', got 'done'" in refused.stderr


def wait_until_it_serves(url: str, gateway: subprocess.Popen[bytes]) -> None:
    """Wait until a gateway's servers answer it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=10).close()  # noqa: S310 - our own
            return
        assert gateway.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
