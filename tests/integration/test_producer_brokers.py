"""Where the producer puts messages: on Redis of each kind, as kombu would look for them."""

from __future__ import annotations

import json
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import redis
import trustme
from kombu.connection import Connection
from kombu.entity import Exchange, Queue

from cli.embedded import Redis, temporary_folder
from settle_client.errors import NotSentError
from settle_client.names import QUEUE
from tests import faces
from tests.faults.network import Link
from tests.sentinel import sentinel
from tests.service import eventually

if TYPE_CHECKING:
    from pathlib import Path

face = faces.face

UPDATE = {"id": "ev_1", "status": "completed"}


def ids_in(client: Any, prefix: str = "") -> list[str]:
    """Return the message ids in the queue, in the order in which they were sent."""
    items = reversed(client.lrange(prefix + QUEUE, 0, -1))
    return [json.loads(item)["headers"]["id"] for item in items]


def members(client: Any, kinds: dict[bytes, bytes]) -> dict[bytes, Any]:
    """Return what is in the sets among some keys."""
    return {key: client.smembers(key) for key, kind in kinds.items() if kind == b"set"}


@pytest.mark.parametrize("prefix", ["", "shop:"])
def test_the_keys_are_those_of_kombu(face: Any, redis_url: str, prefix: str) -> None:
    """The list and the record of its binding, with a prefix as kombu puts it."""
    options = {"global_keyprefix": prefix} if prefix else {}
    with redis.Redis.from_url(redis_url) as client:
        with Connection(redis_url, transport_options=options) as connection:
            channel = connection.channel()
            exchange: Any = Exchange(QUEUE)
            Queue(QUEUE, exchange, QUEUE).bind(channel).declare()
            channel._put(QUEUE, {"properties": {"priority": 0}})
        theirs = {key: client.type(key) for key in client.scan_iter()}
        bindings = members(client, theirs)
        client.flushdb()
        with face.producer(redis_url, **options) as producer:
            sent = [producer.send(UPDATE) for _ in range(3)]
        assert {key: client.type(key) for key in client.scan_iter()} == theirs
        assert members(client, theirs) == bindings
        assert ids_in(client, prefix) == sent


def test_a_broker_that_forgot_everything_is_set_up_again(face: Any, redis_url: str) -> None:
    """After trouble the record of the binding is written as for the first message."""
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(redis_url))
        stack.callback(client.config_set, "maxmemory", 0)
        producer = stack.enter_context(face.producer(redis_url, timeout_seconds=1))
        producer.send(UPDATE)
        producer.flush()
        before = {key: client.type(key) for key in client.scan_iter()}
        client.config_set("maxmemory", 1)
        sent = producer.send(UPDATE)
        with pytest.raises(NotSentError):
            producer.flush()
        client.flushdb()
        client.config_set("maxmemory", 0)
        eventually(lambda: ids_in(client) == [sent])
        assert {key: client.type(key) for key in client.scan_iter()} == before


@pytest.mark.parametrize("flag", ["required", "CERT_REQUIRED"])
def test_a_broker_behind_tls(face: Any, redis_url: str, tmp_path: Path, flag: str) -> None:
    """Its certificate is checked, with the flag as redis-py or as Celery spells it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    with Link(port, tls=context) as link:
        secured = link.through(redis_url).replace("redis://", "rediss://")
        secured += f"?ssl_cert_reqs={flag}&ssl_ca_certs={trusted}"
        with face.producer(secured) as producer:
            sent = producer.send(UPDATE)
    with redis.Redis.from_url(redis_url) as client:
        assert ids_in(client) == [sent]


def test_a_broker_behind_sentinels_fails_over(face: Any) -> None:
    """The producer finds the new primary by itself, and sends there what was not confirmed."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        primary = stack.enter_context(Redis(folder / "primary"))
        replica = stack.enter_context(Redis(folder / "replica"))
        client = stack.enter_context(redis.Redis(port=replica.port))
        client.replicaof("127.0.0.1", str(primary.port))
        eventually(lambda: client.info("replication")["master_link_status"] == "up")
        broker = stack.enter_context(sentinel(primary, folder))
        with face.producer(broker, master_name="settle") as producer:
            sent = [producer.send(UPDATE)]
            producer.flush()
            eventually(lambda: ids_in(client) == sent)
            primary.stop(immediate=True)
            sent.append(producer.send(UPDATE))
        assert ids_in(client) == sent
