"""What `settle doctor` says of a real RabbitMQ, its queue and its policies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from kombu.connection import Connection

from cli.doctor import management
from cli.doctor.examination import examine
from cli.doctor.parts import broker_part, management_part
from service.finding import Finding, Verdict
from service.settings import Settings
from settle_client.kombu_queue import KombuQueue
from settle_client.names import QUEUE
from tests.rabbitmq import RabbitMQ
from tests.service import eventually
from tests.started import started
from worker.transport.rabbitmq import delay_queues

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "somebodys"


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMQ]:
    """Give a node with the management plugin."""

    def managed(folder: Path) -> RabbitMQ:
        return RabbitMQ(folder, managed=True)

    with started(managed) as node:
        yield node


@pytest.fixture
def node(rabbitmq: RabbitMQ) -> Iterator[RabbitMQ]:
    """Give it with the queue in it, and take away what was set and declared."""
    declare(rabbitmq)
    yield rabbitmq
    for command in ("clear_policy", "clear_operator_policy"):
        if NAME in rabbitmq.control(command.replace("clear", "list").replace("policy", "policies")):
            rabbitmq.control(command, NAME)
    delete(rabbitmq)


def declare(node: RabbitMQ) -> None:
    """Declare the queue as producers and workers do."""
    queue = KombuQueue(node.url)
    queue.push([])
    queue.close()


def delete(node: RabbitMQ) -> None:
    """Remove the queue, whatever it is."""
    connect: Any = Connection
    with connect(node.url) as connection:
        connection.default_channel.queue_delete(QUEUE)


def settings(node: RabbitMQ, **values: Any) -> Settings:
    """Return settings with the node and its plugin."""
    values = {"broker_url": node.url, "rabbitmq_management_url": node.management_url, **values}
    return Settings.model_construct(**{**Settings().model_dump(), **values})


def look(node: RabbitMQ, **values: Any) -> dict[str, Finding]:
    """Examine it, by check."""
    known = settings(node, **values)
    parts = broker_part(known), management_part(known)
    return {result.check: result.finding for part in parts for result in examine(part)}


def set_policy(node: RabbitMQ, definition: dict[str, Any], *, kind: str = "policy") -> None:
    """Set a policy for the queue, and wait until the plugin shows it."""
    node.control(f"set_{kind}", NAME, "^event-", json.dumps(definition), "--apply-to", "queues")
    eventually(lambda: shown(node).get(kind) == NAME)


def shown(node: RabbitMQ) -> dict[str, Any]:
    """Return what the plugin shows of the queue."""
    with management.look(settings(node)) as seen:
        return seen.queues[QUEUE]


def test_a_queue_that_is_as_it_should_be(node: RabbitMQ) -> None:
    """Also with policies that remove nothing."""
    set_policy(node, {"delivery-limit": 20, "dead-letter-exchange": "dlx"})
    found = look(node)
    assert [finding.verdict for finding in found.values()] == [Verdict.OK] * 6
    assert found["queue"].found == "a quorum queue, as workers declare it"
    assert found["replicas"].found == "1 replica on 1 node, all there"


def test_a_queue_that_is_not_there_yet(rabbitmq: RabbitMQ) -> None:
    """Nothing is declared by looking."""
    delete(rabbitmq)
    found = look(rabbitmq)
    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    assert QUEUE not in rabbitmq.control("list_queues", "name")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param({"x-queue-type": "classic"}, "x-queue-type", id="classic"),
        pytest.param(
            {"x-queue-type": "quorum", "x-message-ttl": 60_000}, "x-message-ttl", id="ttl"
        ),
        pytest.param({"x-queue-type": "quorum", "x-max-length": 9}, "x-max-length", id="length"),
    ],
)
def test_a_queue_that_is_not_as_workers_declare_it(
    node: RabbitMQ, arguments: dict[str, Any], named: str
) -> None:
    """What differs is named, and what to do; and the queue is left as it was."""
    delete(node)
    connect: Any = Connection
    with connect(node.url) as connection:
        connection.default_channel.queue_declare(
            QUEUE, durable=True, auto_delete=False, arguments=arguments
        )
    finding = look(node)["queue"]
    assert finding.verdict is Verdict.FAILURE
    assert named in finding.found
    assert finding.fix.endswith(f"rabbitmqctl delete_queue {QUEUE}")
    assert look(node)["queue"] == finding


@pytest.mark.parametrize(
    ("definition", "verdict", "said"),
    [
        pytest.param({"message-ttl": 60_000}, "failure", "message-ttl 60000 ms removes", id="ttl"),
        pytest.param(
            {"message-ttl": 60_000, "dead-letter-exchange": "dlx"},
            *("failure", "for so long, to the exchange 'dlx'"),
            id="ttl and dead-letter exchange",
        ),
        pytest.param({"expires": 60_000}, "failure", "removes the queue when", id="expires"),
        pytest.param({"max-length": 9}, "failure", "removes the oldest beyond", id="length"),
        pytest.param({"max-length-bytes": 9}, "failure", "max-length-bytes 9 removes", id="bytes"),
        pytest.param(
            {"max-length": 9, "overflow": "reject-publish"},
            *("warning", "refuses what is sent beyond that"),
            id="refused",
        ),
        pytest.param({"delivery-limit": 18}, "failure", "delivery-limit 18 removes", id="limit"),
    ],
)
def test_policies_that_take_messages_away(
    node: RabbitMQ, definition: dict[str, Any], verdict: str, said: str
) -> None:
    """By name, with the queue that the pattern fits."""
    set_policy(node, definition)
    finding = look(node)["policies"]
    assert finding.verdict == verdict
    assert finding.found.startswith(f"{NAME} on {QUEUE}: ")
    assert said in finding.found
    assert "clear_policy" in finding.fix


def test_a_policy_of_the_operators(node: RabbitMQ) -> None:
    """It is in force too."""
    set_policy(node, {"max-length": 9}, kind="operator_policy")
    assert look(node)["policies"].found.startswith(f"{NAME} on {QUEUE}: max-length 9 removes")


def test_a_policy_on_what_is_delayed(node: RabbitMQ) -> None:
    """The queues in which it waits have times of their own, which are no policy."""
    connect: Any = Connection
    with connect(node.url) as connection:
        delay_queues.declare(connection)
    assert look(node)["policies"].verdict is Verdict.OK
    node.control("set_policy", NAME, "_delayed_", '{"max-length": 9}', "--apply-to", "queues")
    eventually(lambda: look(node)["policies"].verdict is Verdict.FAILURE)
    assert f"{NAME} on {delay_queues.NAMES[0]}: max-length 9" in look(node)["policies"].found


@pytest.mark.parametrize(
    ("url", "why"),
    [
        pytest.param(None, "SETTLE_RABBITMQ_MANAGEMENT_URL is not set", id="not set"),
        pytest.param("http://127.0.0.1:1", "refused", id="away"),
        pytest.param("http://guest:hush@127.0.0.1:{port}", "401", id="another password"),
        pytest.param("http://127.0.0.1:{amqp}", "", id="not HTTP"),
    ],
)
def test_without_the_plugin_it_is_unknown(node: RabbitMQ, url: str | None, why: str) -> None:
    """And said how it can be seen, and no password."""
    port = node.management_url.rpartition(":")[2]
    found = look(node, rabbitmq_management_url=url and url.format(port=port, amqp=node.port))
    for check, command in (("replicas", "list_queues"), ("policies", "list_policies")):
        assert found[check].verdict is Verdict.UNKNOWN
        assert why in found[check].found
        assert command in found[check].fix
        assert "hush" not in found[check].found
