"""What `settle doctor` makes of what RabbitMQ's management plugin shows."""

from __future__ import annotations

from typing import Any

import pytest

from cli.doctor.management import Seen, policies, replicas
from service.finding import Verdict
from settle_client.names import QUEUE

OK, BAD = Verdict.OK, Verdict.WARNING


def seen(queue: dict[str, Any], nodes: int = 3) -> Seen:
    """Return what the plugin shows of a queue in a cluster."""
    return Seen({QUEUE: {"name": QUEUE, **queue}}, nodes)


@pytest.mark.parametrize(
    ("members", "online", "nodes", "verdict", "said"),
    [
        pytest.param("abc", "abc", 3, OK, "3 replicas on 3 nodes, all there", id="three"),
        pytest.param("a", "a", 1, OK, "1 replica on 1 node, all there", id="one node"),
        pytest.param("a", "a", 3, BAD, "1 replica on 3 nodes: while", id="one"),
        pytest.param("ab", "ab", 2, BAD, "2 replicas on 2 nodes: while", id="two nodes"),
        pytest.param("abc", "ac", 3, BAD, "2 of 3 replicas are there, not b", id="away"),
        pytest.param("abc", "abc", 5, OK, "3 replicas on 5 nodes", id="three of five"),
    ],
)
def test_a_queue_is_to_outlive_a_node(
    members: str, online: str, nodes: int, verdict: Verdict, said: str
) -> None:
    """Where there are several; and a replica that is away is named."""
    finding = replicas(seen({"members": [*members], "online": [*online]}, nodes))
    assert finding.verdict is verdict
    assert finding.found.startswith(said)


def test_a_queue_of_which_no_replica_is_shown() -> None:
    """Such as a classic one, which has none."""
    finding = replicas(seen({}))
    assert finding.verdict is Verdict.UNKNOWN
    assert "rabbitmqctl list_queues" in finding.fix


@pytest.mark.parametrize(
    ("definition", "verdict"),
    [
        pytest.param({"delivery-limit": 19}, OK, id="enough deliveries"),
        pytest.param({"delivery-limit": -1}, OK, id="any number of deliveries"),
        pytest.param({"consumer-timeout": 1_800_000}, OK, id="half an hour"),
        pytest.param({"consumer-timeout": 60_000}, BAD, id="a minute"),
        pytest.param({"dead-letter-exchange": "dlx"}, OK, id="dead letters of nothing"),
        pytest.param({"queue-leader-locator": "balanced"}, OK, id="something else"),
    ],
)
def test_policies_that_take_nothing_away(definition: dict[str, Any], verdict: Verdict) -> None:
    """Some of them delay, or do again."""
    shown = {"policy": "p", "effective_policy_definition": definition}
    assert policies(seen(shown)).verdict is verdict


@pytest.mark.parametrize(
    "shown", [{"effective_policy_definition": []}, {}], ids=["list", "nothing"]
)
def test_no_policy_at_all(shown: dict[str, Any]) -> None:
    """Older plugins show an empty list."""
    assert policies(seen(shown)).verdict is OK
