"""What counts as written: what enough replicas have, if that is wanted."""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from cli.doctor.examination import examine
from cli.doctor.parts import result_channel_part
from service.connections import make_service
from service.finding import Finding, Verdict
from service.settings import Settings
from settle_client.async_producer import AsyncProducer
from settle_client.errors import NotSentError
from settle_client.names import CLUSTER_PREFIX, OUTCOMES, QUEUE
from settle_client.producer import Producer
from tasks.errors import OutcomesNotPublishedError
from tasks.publishing import DeadLetter, OutcomePublisher
from tasks.settle import invalid
from tests.redis_cluster import redis_cluster
from tests.redis_group import NAME, RedisGroup
from tests.service import eventually
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.storms

UPDATE = {"id": "ev_1", "status": "completed"}
QUEUE_ON_CLUSTER = CLUSTER_PREFIX + QUEUE
ANSWER = invalid("m", None, None, "it is not JSON")
LETTER = DeadLetter("m", "it is not JSON", "{", {})


@pytest.fixture
def group() -> Iterator[RedisGroup]:
    """Give a primary with two replicas."""
    with started(RedisGroup) as group:
        yield group


@pytest.fixture
def client(group: RedisGroup) -> Iterator[Any]:
    """Give a way to the primary."""
    with group.primary.client(decode_responses=True, socket_timeout=10) as client:
        yield client


def stop_replicas(group: RedisGroup) -> None:
    """Let the primary be alone."""
    primary = group.primary
    for server in group.servers:
        if server is not primary:
            server.stop(immediate=True)


def test_what_is_published_is_on_replicas(group: RedisGroup, client: Any) -> None:
    """Outcomes and dead letters, whatever the server has of the scripts."""
    publisher = OutcomePublisher(client, stream_max_length=100, min_replicas=2)
    for _ in range(2):
        client.script_flush()
        publisher.publish([ANSWER], [LETTER])
    for server in group.servers:
        with server.client() as each:
            assert each.xlen(OUTCOMES) == 2


def test_what_no_replica_has_is_not_published(group: RedisGroup, client: Any) -> None:
    """It is said, and so is that nothing can be published, before anything is."""
    publisher = OutcomePublisher(client, stream_max_length=100, min_replicas=1)
    publisher.check()
    stop_replicas(group)
    ways: tuple[Callable[[], None], ...] = (lambda: publisher.publish([ANSWER]), publisher.check)
    for publish in ways:
        with pytest.raises(OutcomesNotPublishedError, match="0 of 1 replicas") as caught:
            publish()
        assert caught.value.outcomes == 0
    OutcomePublisher(client, stream_max_length=100).publish([ANSWER])


def test_a_server_that_refuses_is_quoted_and_its_outcomes_are_not(client: Any) -> None:
    """As one that is to have replicas, and has none."""
    client.config_set("min-replicas-to-write", 3)
    publisher = OutcomePublisher(client, stream_max_length=100, min_replicas=1)
    with pytest.raises(OutcomesNotPublishedError, match="enough good replicas") as it:
        publisher.publish([ANSWER])
    assert "it is not JSON" not in str(it.value)


def look(url: str, min_replicas: int) -> dict[str, Finding]:
    """Return what the doctor says of a result channel."""
    known = {"outcome_url": url, "outcome_min_replicas": min_replicas}
    settings = Settings.model_construct(**{**Settings().model_dump(), **known})
    return {result.check: result.finding for result in examine(result_channel_part(settings))}


def test_the_doctor_says_what_outcomes_wait_for(group: RedisGroup, client: Any) -> None:
    """Replicas that there are not, a right to wait that is missing, and what keeps tries few."""
    url = group.primary.url
    assert look(url, 0)["replicas"].verdict is Verdict.OK
    assert look(url, 2)["replicas"].verdict is Verdict.WARNING
    client.config_set("min-replicas-to-write", 1)
    assert look(url, 2)["replicas"].verdict is Verdict.OK
    found = look(url, 3)["replicas"]
    assert found.verdict is Verdict.FAILURE
    assert "2 of the 3 replicas" in found.found
    client.execute_command("ACL", "SETUSER", "w", "on", ">pw", "~*", "&*", "+@all", "-wait")
    user = url.replace("://", "://w:pw@")
    assert look(user, 0)["publishing"].verdict is Verdict.OK
    assert "WAIT" in look(user, 2)["publishing"].found


def test_what_is_sent_is_on_replicas(group: RedisGroup) -> None:
    """What is confirmed, and no more: it is sent again under its id until it is."""
    behind: dict[str, Any] = {"master_name": NAME, "min_replicas": 2, "timeout_seconds": 5.0}
    with Producer(group.url, **behind) as producer:
        producer.send(UPDATE)
        producer.flush()
        for server in group.servers:
            with server.client() as each:
                assert each.llen(QUEUE) == 1
        stop_replicas(group)
        sent = producer.send(UPDATE)
        with pytest.raises(NotSentError, match="of 2 replicas") as caught:
            producer.flush()
        assert caught.value.message_ids == (sent,)
        for server in group.servers:
            server.start()
        producer.flush()


def test_what_is_sent_from_an_event_loop_is_on_replicas(group: RedisGroup) -> None:
    """The same for the other face."""

    async def send() -> None:
        behind: dict[str, Any] = {"master_name": NAME, "min_replicas": 1, "timeout_seconds": 3.0}
        async with AsyncProducer(group.url, **behind) as producer:
            await producer.send(UPDATE)
            await producer.flush()
            stop_replicas(group)
            await producer.send(UPDATE)
            with pytest.raises(NotSentError, match="0 of 1 replicas"):
                await producer.flush()
            for server in group.servers:
                server.start()
            await producer.flush()

    asyncio.run(send())


def test_what_is_sent_to_a_cluster_is_on_a_replica_wherever_the_slot_is() -> None:
    """On its way it is not confirmed; then it is, by either face."""
    waiting: dict[str, Any] = {"min_replicas": 1, "timeout_seconds": 6.0}

    with started(partial(redis_cluster, replicas=True)) as cluster:
        with Producer(cluster.url, **waiting) as producer:
            producer.send(UPDATE)
            producer.flush()
            source, target = cluster.begin_migration(QUEUE_ON_CLUSTER)
            cluster.move_keys(QUEUE_ON_CLUSTER, source, target)
            sent = producer.send(UPDATE)
            with pytest.raises(NotSentError) as caught:
                producer.flush()
            assert caught.value.message_ids == (sent,)
            cluster.end_migration(QUEUE_ON_CLUSTER, source, target)
            producer.flush()
            assert target.ask("LLEN", QUEUE_ON_CLUSTER) == 2
            cluster.replica_of(target).stop(immediate=True)
            producer.send(UPDATE)
            with pytest.raises(NotSentError, match="0 of 1 replicas"):
                producer.flush()
            replica = cluster.replica_of(target).start()
            following = {"master_link_status": "up"}.items()
            eventually(lambda: following <= replica.facts("INFO", "replication").items())
            producer.flush()
        asyncio.run(send_and_confirm(cluster.url))


async def send_and_confirm(url: str) -> None:
    """Send an update, and return when a replica has it."""
    options: dict[str, Any] = {"min_replicas": 1}
    async with AsyncProducer(url, **options) as producer:
        await producer.send(UPDATE)
        await producer.flush()


def test_on_a_cluster_it_is_the_replica_of_the_node_that_holds_the_slot() -> None:
    """Also after the slot has gone elsewhere; and nothing counts as published without it."""
    with started(partial(redis_cluster, replicas=True)) as cluster:
        settings = Settings(CELERY_BROKER_URL=cluster.url, outcome_min_replicas=1)
        with closing(make_service(settings).publisher) as publisher:
            publisher.publish([ANSWER], [])
            cluster.migrate(OUTCOMES)
            publisher.publish([ANSWER], [])
            owner = cluster.owner(OUTCOMES)
            assert owner.ask("XLEN", OUTCOMES) == 2
            cluster.replica_of(owner).stop(immediate=True)
            with pytest.raises(OutcomesNotPublishedError, match="0 of 1 replicas"):
                publisher.publish([ANSWER], [])
