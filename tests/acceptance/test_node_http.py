"""The example for Node.js that uses the HTTP door, run as it stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.listening import outcome, publish

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


def test_who_listens_goes_on_where_it_was(node: Node, service: Service, gateway: Gateway) -> None:
    """With all that is kept, then with what comes; and it says where to go on when it ends."""
    publish(service, outcome("ev_1"))
    heard = []
    after = "oldest"
    for id_ in ("ev_1", "ev_2"):
        example = node.start("outcomes-over-http.js", after, SETTLE_URL=gateway.url)
        assert example.stdout is not None
        heard.append(json.loads(example.stdout.readline())["id"])
        example.terminate()
        _, said = example.communicate(timeout=60)
        after = said.split()[-1]
        assert (example.returncode, heard[-1]) == (0, id_)
        if id_ == "ev_1":
            (last,) = publish(service, outcome("ev_2"))
    assert after == last


def test_who_listens_names_no_position_is_refused(node: Node, gateway: Gateway) -> None:
    """One line, and it ends."""
    refused = node.run("outcomes-over-http.js", "yesterday", SETTLE_URL=gateway.url)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Last-Event-ID: must be the `after` of an earlier answer")
