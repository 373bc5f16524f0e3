"""The result channel on a Redis Cluster of three shards, while slots move and after they have."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

from gateway.messages.records import Records, record_of
from gateway.outcomes.positions import BEGINNING
from gateway.outcomes.stream import Stream
from service.channel import Channel
from service.connections import make_service
from service.settings import Settings
from settle_client.async_outcomes import AsyncOutcomeClient
from settle_client.async_producer import AsyncProducer
from settle_client.names import CLUSTER_PREFIX, DEAD_LETTERS, OUTCOMES, QUEUE
from settle_client.outcome import Outcome
from settle_client.outcomes import OutcomeClient
from settle_client.producer import Producer
from settle_client.redis_server import open_client, open_reader
from settle_client.update import StatusUpdate
from tasks.dead_letters import DeadLetters
from tasks.publishing import DeadLetter
from tests.redis_cluster import Cluster, redis_cluster
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tasks.publishing import OutcomePublisher

LETTER = DeadLetter("m", "it is odd", "{}", {})


@pytest.fixture(scope="module")
def whole() -> Iterator[Cluster]:
    """Give a cluster, with the outcomes and the dead letters on different nodes."""
    with started(redis_cluster) as cluster:
        cluster.spread()
        yield cluster


@pytest.fixture
def cluster(whole: Cluster) -> Cluster:
    """Give it with nothing in it."""
    whole.empty()
    return whole


@pytest.fixture
def publisher(cluster: Cluster) -> Iterator[OutcomePublisher]:
    """Publish as a worker does."""
    service = make_service(Settings(CELERY_BROKER_URL=cluster.url))
    with closing(service.publisher) as publisher:
        yield publisher


def outcome(number: int) -> Outcome:
    """Make one."""
    rest = ',"accountId":null,"eventType":null,"createdAt":null,"completedAt":null,"failedAt":null}'
    head = f'{{"id":"ev_{number}","updated":true,"status":"completed","reason":null,'
    return Outcome.from_json(f'{head}"messageId":"m_{number}","index":0{rest}')


def ids(outcomes: Any) -> list[str]:
    """Return which events they are of."""
    return [one.id for one in outcomes]


def move_slot(cluster: Cluster) -> Callable[[], None]:
    """Give the slot of the outcomes to another node."""
    cluster.migrate(OUTCOMES)
    return lambda: None


def move_keys(cluster: Cluster) -> Callable[[], None]:
    """Move the outcomes, and say nothing of it but to who asks for them."""
    source, target = cluster.begin_migration(OUTCOMES)
    assert cluster.move_keys(OUTCOMES, source, target)
    return lambda: cluster.end_migration(OUTCOMES, source, target)


def only_begin(cluster: Cluster) -> Callable[[], None]:
    """Move nothing yet."""
    source, target = cluster.begin_migration(OUTCOMES)
    return lambda: cluster.end_migration(OUTCOMES, source, target)


changed = pytest.mark.parametrize(
    "change", [move_slot, move_keys, only_begin], ids=["MOVED", "ASK", "migrating"]
)


@changed
def test_nothing_is_missed_while_the_slot_goes_elsewhere(
    cluster: Cluster, publisher: OutcomePublisher, change: Callable[[Cluster], Callable[[], None]]
) -> None:
    """Heard, polled, waited for and followed, by the same connections as before."""
    with OutcomeClient(cluster.url) as reader, reader.subscribe() as heard:
        publisher.publish([outcome(1)])
        followed = reader.follow("group", "member")
        assert ids([next(heard)]) == ids([next(followed)]) == ["ev_1"]
        end = change(cluster)
        publisher.publish([outcome(2)])
        assert ids([next(heard)]) == ["ev_2"]
        assert ids(one for _, one in reader.poll("0-0", wait_seconds=1)) == ["ev_1", "ev_2"]
        end()
        publisher.publish([outcome(3)])
        messages = {f"m_{number}": [f"ev_{number}"] for number in (1, 2, 3)}
        assert len(ids(reader.wait(messages, timeout_seconds=5))) == 3
        assert ids([next(followed), next(followed)]) == ["ev_2", "ev_3"]
        assert ids([next(heard)]) == ["ev_3"]
        followed.close()
        newest = open_client(cluster.url, asynchronous=False).xinfo_stream(OUTCOMES)
        assert reader.position() == newest["last-generated-id"].decode()


@changed
def test_nothing_is_missed_with_asyncio(
    cluster: Cluster, publisher: OutcomePublisher, change: Callable[[Cluster], Callable[[], None]]
) -> None:
    """The same."""

    async def read() -> None:
        async with AsyncOutcomeClient(cluster.url) as reader, reader.subscribe() as heard:
            publisher.publish([outcome(1)])
            followed = reader.follow("group", "member")
            assert ids([await anext(heard), await anext(followed)]) == ["ev_1", "ev_1"]
            end = change(cluster)
            publisher.publish([outcome(2)])
            assert ids([await anext(heard)]) == ["ev_2"]
            polled = await reader.poll("0-0", wait_seconds=1)
            assert ids(one for _, one in polled) == ["ev_1", "ev_2"]
            end()
            publisher.publish([outcome(3)])
            assert ids([await anext(followed), await anext(followed)]) == ["ev_2", "ev_3"]
            await followed.aclose()

    asyncio.run(read())


def test_dead_letters_are_kept_where_their_slot_is(
    cluster: Cluster, publisher: OutcomePublisher
) -> None:
    """On another node than the outcomes; seen to, and replaced at one moment."""
    publisher.publish([outcome(1)], [LETTER, LETTER])
    publisher.check()
    options: dict[str, Any] = {"decode_responses": True, "key": DEAD_LETTERS}
    with open_client(cluster.url, asynchronous=False, **options) as client:
        letters = DeadLetters(client)
        first, second = letters.all()
        letters.replace(first, [LETTER])
        assert letters.drop([second.entry]) == 1
        cluster.migrate(DEAD_LETTERS)
        assert [one.reason for one in letters.newest(9)] == ["it is odd"]
    assert cluster.owner(OUTCOMES).ask("XLEN", OUTCOMES) == 1


def test_the_gateway_reads_what_it_wrote(cluster: Cluster, publisher: OutcomePublisher) -> None:
    """The stream with its extent at one moment, and the records of messages, ASK or not."""
    publisher.publish([outcome(1)])
    record = record_of([StatusUpdate("ev_1", "completed")], BEGINNING, 0)

    async def ask() -> None:
        channel = Channel(open_reader(cluster.url, asynchronous=True))
        stream, records = Stream(channel), Records(channel, on_cluster=True)
        assert await records.claim("m_1", record)
        source, target = cluster.begin_migration(OUTCOMES)
        assert await records.claim("m_2", record)
        cluster.move_keys(OUTCOMES, source, target)
        assert await records.find("m_1") == await records.find("m_2") == record
        assert await records.find("m_3") is None
        cluster.end_migration(OUTCOMES, source, target)
        page = await stream.read(BEGINNING)
        assert [entry.event_id for entry in page.entries] == ["ev_1"]
        await channel.close()

    asyncio.run(ask())


def test_a_producer_finds_the_queue(cluster: Cluster) -> None:
    """All that it writes is in the slot of the queue, whose name is in braces."""

    async def send() -> None:
        async with AsyncProducer(cluster.url) as producer:
            await producer.send({"id": "ev_2", "status": "failed"})

    with Producer(cluster.url) as producer:
        producer.send({"id": "ev_1", "status": "failed"})
        producer.flush()
        asyncio.run(send())
        cluster.migrate(QUEUE)
        producer.send({"id": "ev_3", "status": "failed"})
    assert cluster.owner(QUEUE).ask("LLEN", CLUSTER_PREFIX + QUEUE) == 3


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_what_is_asked_together_and_was_not_done_is_not_said_to_be(
    cluster: Cluster, asynchronous: bool
) -> None:
    """Several commands in one write do not follow a key on its way: that is an error, not an OK."""
    cluster.owner(OUTCOMES).ask("XADD", OUTCOMES, "1-1", "outcome", "")

    async def add(client: Any) -> None:
        pipe = client.pipeline(transaction=False)
        pipe.execute_command("XADD", OUTCOMES, "*", "outcome", "")
        pipe.execute_command("WAIT", 0, 1)
        await pipe.execute() if asynchronous else pipe.execute()

    async def add_on_its_way() -> None:
        client = open_client(cluster.url, asynchronous=asynchronous)
        source, target = cluster.begin_migration(OUTCOMES)
        cluster.move_keys(OUTCOMES, source, target)
        with pytest.raises(redis.ConnectionError, match="not here now"):
            await add(client)
        cluster.end_migration(OUTCOMES, source, target)
        await add(client)
        await client.aclose() if asynchronous else client.close()

    asyncio.run(add_on_its_way())
    assert cluster.owner(OUTCOMES).ask("XLEN", OUTCOMES) == 2


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_server_by_itself_is_no_cluster(redis_url: str, asynchronous: bool) -> None:
    """It is said, with what to do."""
    url = redis_url.replace("redis://", "redis+cluster://")

    async def ping() -> None:
        answer = open_client(url, asynchronous=asynchronous).ping()
        await answer if asynchronous else None

    with pytest.raises(redis.ConnectionError, match="no Redis Cluster: name it redis://"):
        asyncio.run(ping())
