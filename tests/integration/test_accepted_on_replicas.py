"""What counts as accepted: a message that enough replicas of the broker have, if that is wanted."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from starlette.exceptions import HTTPException

from cli.dead.replaying import opened_queue, send_again
from cli.doctor.examination import examine
from cli.doctor.parts import broker_part
from cli.lines.reading import Place
from cli.publishing import Sent, send_all
from gateway.messages.enqueuing import Enqueuer
from gateway.messages.records import KEY, Records
from gateway.outcomes.stream import Stream
from service.channel import Channel
from service.finding import Finding, Verdict
from service.settings import Settings
from settle_client.errors import SettleError
from settle_client.names import QUEUE
from settle_client.redis_server import open_reader
from settle_client.update import StatusUpdate
from tasks.dead_letters import DeadLetters
from tasks.publishing import DeadLetter, OutcomePublisher
from tasks.replaying import Replay
from tests.redis_group import NAME, RedisGroup
from tests.service import eventually
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.storms

UPDATE = StatusUpdate("ev_1", "completed")
FIX = "start more, or lower SETTLE_BROKER_MIN_REPLICAS"


@pytest.fixture(scope="module")
def whole() -> Iterator[RedisGroup]:
    """Give a primary with two replicas."""
    with started(RedisGroup) as group:
        yield group


@pytest.fixture
def group(whole: RedisGroup) -> Iterator[RedisGroup]:
    """Give it with nothing in it, and all there again at the end."""
    with whole.primary.client() as client:
        client.flushall()
    yield whole
    start_replicas(whole)


def settings(group: RedisGroup, **others: Any) -> Settings:
    """Return settings with which outcomes wait for both replicas, and nothing else is said."""
    known = {"broker_url": group.url, "sentinel_master": NAME, "outcome_min_replicas": 2, **others}
    return Settings.model_construct(**{**Settings().model_dump(), **known})


async def no_limits(updates: Sequence[StatusUpdate]) -> None:
    """Hold updates to no limit."""


def stop_replicas(group: RedisGroup) -> None:
    """Let the primary be alone."""
    primary = group.primary
    for server in group.servers:
        if server is not primary:
            server.stop(immediate=True)


def start_replicas(group: RedisGroup) -> None:
    """Let it have its replicas again."""
    for server in group.servers:
        server.start()
    eventually(group.is_whole)


def queued(group: RedisGroup) -> list[list[str]]:
    """Return the ids of the messages that each server has, the latest first."""
    found = []
    for server in group.servers:
        with server.client() as client:
            items = client.lrange(QUEUE, 0, -1)
            found.append([json.loads(item)["headers"]["id"] for item in items])
    return found


def publish(group: RedisGroup, sent: Sent, **others: Any) -> None:
    """Send an update as `settle publish` does."""
    places = iter([(Place("line", 1), {"id": "ev_1", "status": "completed"})])
    send_all(places, sent, settings(group, **others), size=10, report=lambda _: None)


def test_what_a_command_has_sent_is_on_a_replica(group: RedisGroup) -> None:
    """Or it is not called sent, and the error says what to do."""
    sent = Sent()
    publish(group, sent)
    assert (sent.updates, queued(group)) == (1, [list(sent.messages)] * 3)
    stop_replicas(group)
    alone = Sent()
    with pytest.raises(SettleError, match=f"0 of 2 replicas have the messages; {FIX}"):
        publish(group, alone)
    assert (alone.updates, alone.start_at) == (0, Place("line", 1))
    publish(group, alone, broker_min_replicas=0)
    assert alone.updates == 1


def test_a_dead_letter_is_kept_until_a_replica_has_its_message(group: RedisGroup) -> None:
    """Tried again, it is the same message."""
    replay = Replay("m", [UPDATE], [])
    known = settings(group)
    with group.primary.client(decode_responses=True) as client, opened_queue(known) as queue:
        letters = DeadLetters(client)
        OutcomePublisher(client, stream_max_length=9).publish([], [DeadLetter("m", "", "{", {})])
        (letter,) = letters.all()
        stop_replicas(group)
        with pytest.raises(SettleError, match=f"0 of 2 replicas have the messages; {FIX}"):
            send_again(letter, replay, letters, queue)
        assert len(list(letters.all())) == 1
        start_replicas(group)
        send_again(letter, replay, letters, queue)
        assert not list(letters.all())
    assert queued(group) == [["m", "m"]] * 3


def test_what_is_accepted_to_be_answered_later_is_on_a_replica(group: RedisGroup) -> None:
    """Both the message and the record of it; sent again under its key it is the same message."""
    known = settings(group)

    async def accept(known: Settings) -> int:
        channel = Channel(open_reader(known.result_channel_url, asynchronous=True))
        records = Records(channel, min_replicas=known.outcome_min_replicas)
        enqueuer = Enqueuer(known, Stream(channel), records)
        try:
            return (await enqueuer.accept("once", [UPDATE], None, no_limits)).status_code
        finally:
            await enqueuer.close()
            await channel.close()

    def is_refused(why: str, **others: Any) -> bool:
        with pytest.raises(HTTPException, match="the same Idempotency-Key") as caught:
            asyncio.run(accept(settings(group, **others)))
        assert why in caught.value.detail
        return (caught.value.status_code, caught.value.headers) == (503, {"Retry-After": "1"})

    stop_replicas(group)
    assert is_refused("the result channel")
    # Either of them is waited for without the other.
    assert is_refused("the result channel", broker_min_replicas=0)
    assert is_refused("replicas of the broker", outcome_min_replicas=0, broker_min_replicas=2)
    start_replicas(group)
    assert asyncio.run(accept(known)) == 202
    assert queued(group) == [["once", "once"]] * 3
    for server in group.servers:
        with server.client() as client:
            assert client.exists(KEY.format("once"))


def look(group: RedisGroup, **others: Any) -> dict[str, Finding]:
    """Let the doctor examine the broker."""
    found = examine(broker_part(settings(group, **others)))
    return {result.check: result.finding for result in found}


def test_the_doctor_says_what_messages_wait_for(group: RedisGroup) -> None:
    """Replicas that there are not, and which setting says how many."""
    assert look(group, broker_min_replicas=0)["replicas"].verdict is Verdict.OK
    assert "messages wait for 2" in look(group)["replicas"].found
    found = look(group, broker_min_replicas=3)["replicas"]
    assert found.verdict is Verdict.FAILURE
    assert "2 of the 3 replicas" in found.found
    assert "SETTLE_BROKER_MIN_REPLICAS" in found.fix
