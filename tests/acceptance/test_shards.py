"""One service on several brokers, and on several databases: docs/scaling.md."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import redis

from cli.embedded import Redis
from settle_client.errors import NotSentError, NotSentToShardsError
from settle_client.names import QUEUE
from settle_client.sharding import Shards
from tests import faces
from tests.broker_queue import has_left
from tests.conftest import clone
from tests.service import PATIENCE_SECONDS, Service, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.conftest import Urls

face = faces.face

IDS = [f"ev_{number:03}" for number in range(200)]
BY_ACCOUNT = {"acct_1": 0, "acct_2": 1}


def settled_by(messages: Mapping[str, list[str]]) -> list[tuple[str, str, bool]]:
    """Return the outcomes of messages that settle all their events."""
    return sorted((id_, message, True) for message, ids in messages.items() for id_ in ids)


@pytest.fixture
def brokers(redis_url: str, tmp_path: Path) -> Iterator[list[str]]:
    """Give two brokers; outcomes go to the first."""
    with Redis(tmp_path / "redis") as other:
        yield [redis_url, other.url]


def shard(broker: str, brokers: list[str], database_url: str, folder: Path) -> Service:
    """Make what one shard has: a broker and a worker."""
    folder.mkdir()
    service = Service(database_url, broker, folder, outcome_url=brokers[0])
    service.start_worker()
    return service


def outcomes_of(service: Service, messages: Mapping[str, list[str]]) -> list[tuple[Any, ...]]:
    """Wait for outcomes, and return them in order: event, message, and whether it settled."""
    return sorted(
        (one.id, one.message_id, one.updated)
        for one in service.outcomes.wait(messages, timeout_seconds=PATIENCE_SECONDS)
    )


def test_two_brokers_have_one_table(
    face: Any, brokers: list[str], database_url: str, tmp_path: Path
) -> None:
    """Each has its part of a message, and what comes after is told what the first has done."""
    with ExitStack() as stack:
        services = [
            stack.enter_context(
                closing(shard(broker, brokers, database_url, tmp_path / str(number)))
            )
            for number, broker in enumerate(brokers)
        ]
        services[0].load(*IDS)
        messages: dict[str, list[str]] = {}
        with face.sharded_producer(brokers) as producer:
            first = producer.send_together([{"id": id_, "status": "failed"} for id_ in IDS])
            assert outcomes_of(services[0], first) == settled_by(first)
            for id_ in IDS:
                messages[producer.send({"id": id_, "status": "completed"})] = [id_]
            producer.flush()
        assert len(first) == len(brokers)
        assert {updated for _, _, updated in outcomes_of(services[0], messages)} == {False}
        rows = services[0].database.read_events(IDS)
        assert {row.status for row in rows.values()} == {"failed"}


def test_every_shard_may_have_a_database_of_its_own(
    face: Any, brokers: list[str], database_url: str, urls: Urls, template: str, tmp_path: Path
) -> None:
    """Chosen as whoever inserts the events does; consumers see one stream."""
    with ExitStack() as stack:
        databases = [database_url, stack.enter_context(clone(urls, template))]
        services = [
            stack.enter_context(closing(shard(broker, brokers, url, tmp_path / str(number))))
            for number, (broker, url) in enumerate(zip(brokers, databases, strict=True))
        ]
        for account, number in BY_ACCOUNT.items():
            services[number].load(*(f"{account}_{id_}" for id_ in IDS), account=account)
        updates = [
            {"id": f"{account}_{id_}", "status": "completed", "accountId": account}
            for id_ in IDS
            for account in BY_ACCOUNT
        ]
        with face.sharded_producer(
            brokers, shard_of=lambda update: BY_ACCOUNT[update.account_id]
        ) as producer:
            messages = producer.send_together(updates)
        assert len(messages) == len(brokers)
        assert outcomes_of(services[0], messages) == settled_by(messages)


def test_a_broker_that_is_away_holds_up_no_other(face: Any, brokers: list[str]) -> None:
    """What could not be sent is named, of all shards that are away; the others have theirs."""
    away = "redis://127.0.0.1:1/0"
    producer = face.sharded_producer([brokers[0], away, brokers[1]], timeout_seconds=1.0)
    shards = Shards(3)
    sent = {id_: producer.send({"id": id_, "status": "failed"}) for id_ in IDS}
    with pytest.raises(NotSentError, match="not confirmed within 1 s") as caught:
        producer.close()
    assert set(caught.value.message_ids) == {
        message for id_, message in sent.items() if shards.of({"id": id_, "status": "failed"}) == 1
    }


@pytest.mark.storms
def test_a_broker_is_added_and_the_order_is_kept(
    face: Any, brokers: list[str], database_url: str, tmp_path: Path
) -> None:
    """Once the old queue is empty: what one worker holds that died is waited for."""
    with ExitStack() as stack:
        old, _ = (
            stack.enter_context(
                closing(shard(broker, brokers, database_url, tmp_path / str(number)))
            )
            for number, broker in enumerate(brokers)
        )
        old.load(*IDS)
        blocked = stack.enter_context(psycopg.connect(database_url))
        blocked.execute("SELECT FROM events FOR UPDATE")
        with face.sharded_producer(brokers[:1]) as producer:
            first = {producer.send({"id": id_, "status": "failed"}): [id_] for id_ in IDS}
        eventually(lambda: old.redis.hlen(f"{QUEUE}.unacked") == len(IDS))
        old.workers[0].kill()
        blocked.rollback()
        old.start_worker()
        eventually(lambda: has_left(old))
        with face.sharded_producer(brokers) as producer:
            producer.send_together([{"id": id_, "status": "completed"} for id_ in IDS])
        assert outcomes_of(old, first) == settled_by(first)


def test_a_message_in_parts_is_accounted_for(face: Any, brokers: list[str]) -> None:
    """Where a shard has no room, each other one has its part, and the caller knows which."""
    urls = [brokers[0], "redis://:geheim@127.0.0.1:1/0", brokers[1]]
    shards = Shards(3)
    updates = [{"id": id_, "status": "failed"} for id_ in IDS]
    updates.sort(key=lambda update: shards.of(update) != 1)
    producer = face.sharded_producer(urls, timeout_seconds=1.0, max_unsent_updates=50)
    producer.send_together(updates)
    with pytest.raises(NotSentToShardsError, match=r"^shard 1: 1 message not confirmed") as caught:
        producer.send_together(updates)
    assert "geheim" not in str(caught.value)
    sent = [id_ for ids in caught.value.sent.values() for id_ in ids]
    assert sorted(sent) == sorted(id_ for id_ in IDS if shards.of({**updates[0], "id": id_}) != 1)
    with pytest.raises(NotSentToShardsError, match=r"^shard 1: 1 message not confirmed"):
        producer.close()
    for broker in brokers:
        assert redis.Redis.from_url(broker).llen(QUEUE) == 2
