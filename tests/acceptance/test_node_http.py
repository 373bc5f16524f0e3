"""The example for Node.js that uses the HTTP door, run as it stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.listening import outcome, publish

if TYPE_CHECKING:
    from tests.gateway import Gateway, Gateways
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
    """With all that is kept, then with what comes behind the id that it is given."""
    # What JavaScript takes for the end of a line is none in a stream of events.
    strange = "ev\u2028_2"
    positions = publish(service, outcome("ev_1"), outcome(strange))
    for after, id_ in (("oldest", "ev_1"), (positions[0], strange)):
        example = node.start("outcomes-over-http.js", after, SETTLE_URL=gateway.url)
        assert example.stdout is not None
        assert json.loads(example.stdout.readline())["id"] == id_
        example.terminate()
        example.communicate(timeout=60)
        assert example.returncode == 0


def test_a_position_that_is_none_is_refused(node: Node, gateway: Gateway) -> None:
    """One line, and it ends."""
    refused = node.run("outcomes-over-http.js", "yesterday", SETTLE_URL=gateway.url)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Last-Event-ID: must be the `after` of an earlier answer")


def test_a_request_that_is_answered_later_is_asked_for(
    node: Node, service: Service, gateways: Gateways
) -> None:
    """Until all of its outcomes are there; a second time it is the same message."""
    service.load("ev_1")
    service.start_worker()
    url = gateways.start(CELERY_BROKER_URL=service.users.producer).url
    command = ("update-later-over-http.js", "nightly-17", "completed", "ev_1", "nobody")
    for _ in range(2):
        ended = node.run(*command, SETTLE_URL=url)
        known, unknown = (json.loads(line) for line in ended.stdout.splitlines())
        assert (known["id"], known["updated"]) == ("ev_1", True)
        assert (unknown["id"], unknown["reason"]) == ("nobody", "not_found")
    refused = node.run(*command[:2], "done", "ev_1", SETTLE_URL=url)
    assert refused.returncode == 1
    assert refused.stderr.startswith("nightly-17: 400 [0].status: must be 'completed'")
