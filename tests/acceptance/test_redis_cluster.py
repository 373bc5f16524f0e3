"""Settle with nothing but a Redis Cluster of three shards, as its users and operators see it."""

from __future__ import annotations

import json
import os
import re
import shlex
import ssl
import subprocess
import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
import redis
import trustme

from gateway.terms import HEALTH
from settle_client.envelope import bulk
from settle_client.names import CLUSTER_PREFIX, DEAD_LETTERS, OUTCOMES
from settle_client.producer import Producer
from settle_client.redis_queue import RedisQueue
from settle_client.redis_server import open_client
from tests.accounts import PAGE, PLACEHOLDER, RedisUrls
from tests.faults.network import Link
from tests.gateway import Gateways, completed
from tests.listening import listening, page
from tests.redis_cluster import Cluster, redis_cluster
from tests.service import Service, eventually
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.storms


@pytest.fixture(scope="module")
def shards() -> Iterator[Cluster]:
    """Give three primaries; the queue, the outcomes and the dead letters are on each."""
    with started(redis_cluster) as cluster:
        cluster.spread()
        yield cluster


@pytest.fixture
def service(shards: Cluster, database_url: str, tmp_path: Path) -> Iterator[Service]:
    """Give a worker on it."""
    shards.empty()
    with closing(Service(database_url, shards.url, tmp_path)) as service:
        service.load("ev_1", "ev_2", "ev_3")
        service.start_worker()
        yield service


@pytest.fixture
def gateways(service: Service) -> Iterator[Gateways]:
    """Give a way to start gateways."""
    with closing(Gateways(service)) as gateways:
        yield gateways


def documented_users(shards: Cluster) -> RedisUrls:
    """Create the users of docs/privileges.md on every node, and return how each comes in."""
    (command,) = re.findall(r"^(sed .*) users\.acl$", PAGE.read_text("utf-8"), re.MULTILINE)
    acl = PAGE.parents[1] / "cli" / "access" / "users.acl"
    written = subprocess.run(
        [*shlex.split(command), acl], capture_output=True, text=True, check=True
    ).stdout
    for line in written.replace(PLACEHOLDER, "hush").splitlines():
        for node in shards.nodes if line.startswith("ACL ") else ():
            node.ask(*line.split())
    logins = (f"://settle-{kind}:hush@" for kind in RedisUrls._fields)
    return RedisUrls(*(shards.url.replace("://", login) for login in logins))


def test_the_documented_users_may_do_their_part(
    shards: Cluster, database_url: str, tmp_path: Path
) -> None:
    """And nothing is denied to any of them."""
    shards.empty()
    users = documented_users(shards)
    for node in shards.nodes:
        node.ask("ACL", "LOG", "RESET")
    with closing(Service(database_url, shards.url, tmp_path, users=users)) as service:
        service.load("ev_1", "ev_2", "ev_3")
        service.start_worker("-E")
        with Producer(users.producer) as producer, service.outcomes.subscribe() as heard:
            producer.send({"id": "ev_1", "status": "failed"})
            assert next(heard).id == "ev_1"
        followed = service.outcomes.follow("group", "member")
        assert next(followed).id == "ev_1"
        followed.close()
        with closing(Gateways(service)) as gateways:
            gateway = gateways.start(CELERY_BROKER_URL=users.producer)
            assert gateway.patch(completed("ev_2"), idempotency_key="m").json[0]["updated"]
            assert gateway.patch(completed("ev_3"), prefer="respond-async").status == 202
            next(service.outcomes.wait({"m": ["ev_2"]}, timeout_seconds=9))
        operator = {"CELERY_BROKER_URL": users.operator, "SETTLE_OUTCOME_URL": users.operator}
        assert run(service, "dead", "list", **operator).returncode == 0
        seen = run(service, "top", "--json", **operator)
        assert seen.returncode == 0, seen.stderr
        assert len(json.loads(seen.stdout)["workers"]) == 1
        ping = run(service, "-A", "worker", "inspect", "ping", module="celery", **operator)
        assert "1 node online" in ping.stdout
        outcomes = {"SETTLE_OUTCOME_URL": users.housekeeper}
        assert run(service, "retention", "--outcomes", "1h", **outcomes).returncode == 0
        found = json.loads(run(service, "doctor", "--json").stdout)["checks"]
        rights = [one["verdict"] for one in found if one["check"] in ("rights", "publishing")]
        assert rights == ["ok", "ok"]
    # Of the doctor: whether it may say how often the file is synced.
    denied = [entry for node in shards.nodes for entry in map(str, node.ask("ACL", "LOG"))]
    assert [entry for entry in denied if "config|get" not in entry] == []


def run(service: Service, *command: str, module: str = "cli", **environment: str) -> Any:
    """Run a command as an operator does."""
    return subprocess.run(
        [sys.executable, "-m", module, *command],
        env={**os.environ, **service.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_sent_is_settled_and_told(service: Service, shards: Cluster) -> None:
    """By the client; its keys are where their names say, and nothing else is there."""
    with Producer(service.redis_url) as producer:
        message_id = producer.send_together([*completed("ev_1", "ev_2"), *completed("ev_9")])
    outcomes = service.wait({message_id: ["ev_1", "ev_2", "ev_9"]})[message_id]
    assert [one.updated for one in outcomes] == [True, True, False]
    assert shards.owner(OUTCOMES).ask("XLEN", OUTCOMES) == 3
    names = [name for node in shards.primaries for name in node.ask("KEYS", "*")]
    assert OUTCOMES in names
    assert all(name == OUTCOMES or name.startswith(CLUSTER_PREFIX) for name in names)


def test_dead_letters_are_listed_and_dropped(service: Service, shards: Cluster) -> None:
    """By the commands, where they are."""
    queue = RedisQueue(service.redis_url)
    with closing(queue):
        queue.push([bulk([])._replace(message_id="m", body=b'[[[{"id": ""}]], {}, {}]')])
    eventually(lambda: shards.owner(DEAD_LETTERS).ask("XLEN", DEAD_LETTERS) == 1)
    kept = json.loads(run(service, "retention", "--dead-letters", "1h", "--json").stdout)
    assert kept["deadLetters"]["left"] == 1
    (letter,) = run(service, "dead", "list", "--json").stdout.splitlines()
    assert json.loads(letter)["messageId"] == "m"
    assert run(service, "dead", "drop", "--all", "--yes").returncode == 0
    assert run(service, "dead", "list", "--json").stdout == ""


def test_the_gateway_settles_answers_later_and_is_listened_to(gateways: Gateways) -> None:
    """Over HTTP nothing tells that there is a cluster behind it."""
    gateway = gateways.start()
    with listening(gateway) as events:
        next(events)
        assert gateway.patch(completed("ev_1"), idempotency_key="now").json[0]["updated"]
        assert next(events).data["id"] == "ev_1"
        accepted = gateway.patch(completed("ev_2"), prefer="respond-async")
        assert accepted.status == 202
        assert next(events).data["id"] == "ev_2"
    location = accepted.headers["location"]
    answer = gateway.ask("GET", f"{location}?wait=5")
    assert [one["updated"] for one in answer.json["outcomes"]] == [True]
    assert len(page(gateway, after="oldest").json["outcomes"]) == 2
    assert gateway.ask("GET", HEALTH).status == 200


def test_the_doctor_says_what_is_true(service: Service) -> None:
    """Of each of the two nodes that it looks at, and of whoever names one as a server by itself."""
    for worker in service.workers:
        worker.wait_for_log("worker is ready")
    found = json.loads(run(service, "doctor", "--json").stdout)["checks"]
    servers = [one for one in found if one["check"] == "server" and one["part"] != "database"]
    assert [one["part"] for one in servers] == ["broker", "result channel"]
    for one in servers:
        assert one["verdict"] == "warning"
        assert "a Redis Cluster of 3 primaries, 3 of them without a replica" in one["found"]
    assert [one["verdict"] for one in found if one["check"] in ("rights", "answering")] == [
        "ok"
    ] * 2
    one_node = service.redis_url.partition(";")[0].replace("+cluster", "")
    told = run(service, "doctor", CELERY_BROKER_URL=one_node, SETTLE_OUTCOME_URL=one_node)
    assert "a node of a Redis Cluster, and addressed as if it were all of it" in told.stdout
    assert "redis+cluster://" in told.stdout


@pytest.mark.parametrize("spelled", ["required", "CERT_REQUIRED"])
def test_a_cluster_behind_tls(database_url: str, tmp_path: Path, spelled: str) -> None:
    """Nodes are where they say they are; each shows a certificate, which is checked by all."""
    authority, trusted = trustme.CA(), tmp_path / "ca.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(trusted))
    with ExitStack() as stack:
        cluster = stack.enter_context(started(redis_cluster))
        links = [stack.enter_context(Link(node.port, tls=context)) for node in cluster.nodes]
        for node, link in zip(cluster.nodes, links, strict=True):
            node.ask("CONFIG", "SET", "cluster-announce-port", link.port)
        announced = {link.port for link in links}
        eventually(lambda: all(node.named_ports() == announced for node in cluster.nodes))
        urls = [f"rediss+cluster://127.0.0.1:{link.port}" for link in links]
        secured = ";".join(f"{url}?ssl_cert_reqs={spelled}&ssl_ca_certs={trusted}" for url in urls)
        service = stack.enter_context(closing(Service(database_url, secured, tmp_path)))
        service.load("ev_1")
        service.start_worker()
        with Producer(secured) as producer:
            message_id = producer.send({"id": "ev_1", "status": "failed"})
        assert service.wait({message_id: ["ev_1"]})[message_id][0].updated
        ping = run(service, "-A", "worker", "inspect", "ping", module="celery")
        assert "1 node online" in ping.stdout
        gateway = stack.enter_context(closing(Gateways(service))).start()
        assert len(page(gateway, after="oldest").json["outcomes"]) == 1
        with pytest.raises(redis.ConnectionError, match="certificate"):
            open_client(urls[0], asynchronous=False).ping()


def test_celerys_commands_reach_the_workers(service: Service) -> None:
    """And `settle top`: remote control is Pub/Sub, which a cluster broadcasts."""
    ping = run(service, "-A", "worker", "inspect", "ping", module="celery")
    assert "1 node online" in ping.stdout, ping.stderr
    seen = json.loads(run(service, "top", "--json").stdout)
    assert len(seen["workers"]) == 1
    assert seen["queue"]["messages"] == 0


def test_the_demo_runs_on_it(service: Service) -> None:
    """With servers that are not its own."""
    ended = run(service, "demo", "--on-my-servers", "--yes", "--events", "200")
    assert ended.returncode == 0, ended.stderr
