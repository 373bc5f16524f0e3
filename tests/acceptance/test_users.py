"""What the users of docs/privileges.md can do besides the main job, and what they cannot."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request
from contextlib import closing, suppress
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import redis

from cli.embedded import dies_with_parent, free_port
from gateway.access.shared_buckets import KEY, TAKE
from gateway.messages.records import Records, record_of
from gateway.outcomes.positions import BEGINNING
from gateway.outcomes.stream import Stream
from service.channel import Channel, ChannelAwayError
from settle_client.checking import check_all
from settle_client.outcomes import OutcomeClient
from settle_client.redis_server import open_reader
from tasks.errors import OutcomesNotPublishedError
from tasks.publishing import DeadLetter, OutcomePublisher
from tasks.settle import invalid
from tests.accounts import CannotCreateUsersError, documented_rules, redis_users
from tests.gateway import Gateways, completed
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.accounts import RedisUrls
    from tests.conftest import Urls
    from tests.service import Service


@pytest.fixture(scope="module")
def curious(urls: Urls) -> Iterator[RedisUrls]:
    """Give users of whom it does not matter what they are denied."""
    try:
        with redis_users(urls.redis) as users:
            yield users
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


def test_the_operator_watches_with_flower(service: Service) -> None:
    """It sees the workers, who have found one another, and the queue."""
    service.load("ev_1")
    service.worker_options = ()
    service.start_worker()
    second = service.start_worker()
    second.wait_for_log("mingle: sync complete")
    port = free_port()
    flower = subprocess.Popen(
        [
            *(*dies_with_parent("TERM"), sys.executable, "-m", "celery"),
            *("--broker", service.users.operator, "flower", f"--port={port}"),
        ],
        env={"PATH": "/usr/bin:/bin", "FLOWER_UNAUTHENTICATED_API": "true"},
        cwd=service.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def read(page: str) -> str:
        with suppress(OSError):
            address = f"http://127.0.0.1:{port}/{page}"
            return str(urllib.request.urlopen(address, timeout=10).read().decode())
        return ""

    try:
        eventually(lambda: "flower_worker_online" in read("metrics"))
        eventually(lambda: "event-status-updates" in read("broker"))
    finally:
        flower.kill()
        flower.wait()


def test_the_consumer_follows_as_a_group(service: Service) -> None:
    """It makes the group, reads, acknowledges, and takes over what another left."""
    service.load("ev_1", "ev_2")
    service.start_worker()
    updates = [{"id": id_, "status": "failed"} for id_ in ("ev_1", "ev_2")]
    service.wait({service.send(args=[updates]).id: ["ev_1", "ev_2"]})
    with closing(OutcomeClient(service.users.consumer)) as first:
        next(first.follow("audit", "first"))  # and dies before it acknowledges
    with closing(OutcomeClient(service.users.consumer)) as second:
        taken = second.follow("audit", "second", claim_after_seconds=0.001)
        assert {outcome.id for outcome in islice(taken, 2)} == {"ev_1", "ev_2"}


def test_the_gateway_settles_and_publishes(service: Service, gateways: Gateways) -> None:
    """With the worker's role, its own user of the result channel, and no broker."""
    service.load("ev_1")
    # So that the script that publishes has to be loaded first.
    service.redis.script_flush()
    gateway = gateways.start(CELERY_BROKER_URL="amqp://127.0.0.1:1//")
    assert gateway.ask("GET", "/healthz").json == {"status": "ok"}
    (answered,) = gateway.patch(completed("ev_1"), idempotency_key="once").json
    assert answered["updated"]
    (outcome,) = service.wait({"once": ["ev_1"]})["once"]
    assert {**outcome.to_dict(), "payload": {"a": 1}} == answered
    assert gateway.get("ev_1").json["completedAt"] == answered["completedAt"]
    assert gateway.stop() == 0


def test_the_gateway_needs_all_that_it_may(urls: Urls, curious: RedisUrls) -> None:
    """Without any one of its commands, keys and channels it cannot publish, read, keep or limit."""
    name = urlsplit(curious.gateway).username
    rules = [rule for line in documented_rules("settle-gateway")[1:] for rule in line]
    nothing = ("resetkeys", "resetchannels", "-@all", "+@connection")
    with redis.Redis.from_url(urls.redis) as owner:
        for missing in rules:
            allowed = [rule for rule in rules if rule != missing]
            owner.execute_command("ACL", "SETUSER", name, *nothing, *allowed)
            owner.script_flush()
            with pytest.raises((OutcomesNotPublishedError, ChannelAwayError, redis.ResponseError)):
                use_channel(curious.gateway)
        owner.execute_command("ACL", "SETUSER", name, *nothing, *rules)
        use_channel(curious.gateway)


def use_channel(url: str) -> None:
    """Do all that a gateway does to the result channel."""
    outcomes = [invalid("message", "ev_1", "failed", "reason")]
    letters = [DeadLetter("message", "reason", "{}", {})]
    with redis.Redis.from_url(url) as client:
        OutcomePublisher(client, stream_max_length=1).publish(outcomes, letters)
        client.register_script(TAKE)([KEY.format("bucket")], [1, 1])

    async def read_and_remember() -> None:
        channel = Channel(open_reader(url, asynchronous=True))
        stream, records = Stream(channel), Records(channel)
        try:
            await stream.wait((await stream.extent()).start)
            record = record_of(check_all(completed("ev_1")), BEGINNING, 0)
            await records.claim("message", record)
            await records.find("message")
        finally:
            await channel.close()

    asyncio.run(read_and_remember())


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("worker", "FLUSHDB"),
        ("worker", "CONFIG GET requirepass"),
        ("worker", "KEYS *"),
        ("worker", "GET secret"),
        ("worker", "CLIENT KILL TYPE normal"),
        ("worker", "ACL LIST"),
        ("producer", "RPOP event-status-updates"),
        ("producer", "DEL event-status-updates"),
        ("producer", "XADD event-outcomes * outcome {}"),
        ("producer", "PUBLISH event-outcomes {}"),
        ("producer", "HDEL unacked tag"),
        ("producer", "PUBLISH /0.celery.pidbox {}"),
        ("consumer", "XADD event-outcomes * outcome {}"),
        ("consumer", "XTRIM event-outcomes MAXLEN 0"),
        ("consumer", "DEL event-outcomes"),
        ("consumer", "LPUSH event-status-updates {}"),
        ("operator", "XADD event-outcomes * outcome {}"),
        ("operator", "FLUSHALL"),
        ("operator", "ACL LIST"),
        ("housekeeper", "DEL event-outcomes"),
        ("housekeeper", "XADD event-status-updates.dead * raw {}"),
        ("housekeeper", "XTRIM event-status-updates MAXLEN 0"),
        ("housekeeper", "XREAD COUNT 1 STREAMS event-outcomes 0"),
        ("gateway", "XREAD COUNT 1 STREAMS event-status-updates.dead.other 0"),
        ("gateway", "XRANGE event-outcomes - +"),
        ("gateway", "XREADGROUP GROUP audit first STREAMS event-outcomes >"),
        ("gateway", "XRANGE event-status-updates.dead - +"),
        ("gateway", "XTRIM event-outcomes MAXLEN 0"),
        ("gateway", "DEL event-messages:m"),
        ("gateway", "DEL event-limits:a"),
        ("gateway", "GET event-outcomes.secret"),
        ("gateway", "DEL event-outcomes"),
        ("gateway", "SUBSCRIBE event-outcomes"),
        ("gateway", "LLEN event-status-updates"),
        ("gateway", "LPUSH event-status-updates {}"),
        ("gateway", "XADD event-status-updates * raw {}"),
        ("gateway", "PUBLISH /0.celery.pidbox {}"),
        ("gateway", "CONFIG GET requirepass"),
    ],
)
def test_users_cannot_do_what_is_not_their_part(
    curious: RedisUrls, user: str, command: str
) -> None:
    """Each command is refused."""
    with (
        redis.Redis.from_url(getattr(curious, user)) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*command.split())
