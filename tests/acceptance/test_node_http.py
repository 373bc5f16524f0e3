"""The example for Node.js that uses the HTTP door, run as it stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gateway import Gateway
    from tests.node import Node
    from tests.service import Service

pytestmark = pytest.mark.node


def test_a_request_that_comes_again_gets_the_same_outcomes(
    node: Node, service: Service, gateway: Gateway
) -> None:
    """The key of a request is its message id, as the row and the outcomes show."""
    command = ("update-over-http.js", "import-7", "completed", "ev_1", "nobody")
    first = node.run(*command, SETTLE_URL=gateway.url)
    again = node.run(*command, SETTLE_URL=gateway.url)
    refused = node.run("update-over-http.js", "import-8", "done", "ev_1", SETTLE_URL=gateway.url)
    known, unknown = (json.loads(line) for line in first.stdout.splitlines())
    assert (known["id"], known["updated"], known["messageId"]) == ("ev_1", True, "import-7")
    assert (unknown["id"], unknown["reason"]) == ("nobody", "not_found")
    assert first.stdout == again.stdout
    assert service.database.read_events(["ev_1"])["ev_1"].settled_by == "import-7"
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "400 [0].status: must be 'completed' or 'failed', got 'done'" in refused.stderr
    assert refused.stderr.startswith("refused: import-8: ")
