"""A forked child that uses what its parent made: it works, or says why not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import redis

from settle_client.names import QUEUE
from tests.forking import SEND_IN_BOTH, run

if TYPE_CHECKING:
    from tests.rabbitmq import RabbitMQ


def in_queue(url: str) -> list[str]:
    """Return the message ids in the queue."""
    with redis.Redis.from_url(url) as client:
        return [json.loads(item)["headers"]["id"] for item in client.lrange(QUEUE, 0, -1)]


def test_a_child_sends_with_its_parents_producer(redis_url: str) -> None:
    """And so does the parent, before and afterwards; each message is sent once."""
    sent = [id_ for report in run(SEND_IN_BOTH, redis_url) for id_ in report["sent"]]
    assert len(sent) == 300
    assert sorted(in_queue(redis_url)) == sorted(sent)


def test_a_child_sends_nothing_of_its_parents(redis_url: str) -> None:
    """What was unsent when it was forked is the parent's."""
    script = """
producer = Producer(url, max_wait_seconds=3600)
report(sent=[producer.send(UPDATE) for _ in range(5)])
def child():
    report(sent=[producer.send(UPDATE) for _ in range(2)])
    producer.close()
in_child(child)
producer.close()
"""
    parents, childs = run(script, redis_url)
    assert sorted(in_queue(redis_url)) == sorted(parents["sent"] + childs["sent"])


def test_children_forked_while_threads_send_lose_nothing(redis_url: str) -> None:
    """Whatever lock was held at that moment."""
    script = """
producer = Producer(url, max_unsent_updates=50)
is_over = threading.Event()
sent = []
def send_on():
    while not is_over.is_set():
        sent.append(producer.send(UPDATE))
threads = [threading.Thread(target=send_on, daemon=True) for _ in range(2)]
[thread.start() for thread in threads]
def child():
    report(sent=[producer.send(UPDATE)])
    producer.close()
for _ in range(20):
    in_child(child)
is_over.set()
[thread.join() for thread in threads]
report(sent=sent)
producer.close()
"""
    sent = [id_ for report in run(script, redis_url) for id_ in report["sent"]]
    assert sorted(in_queue(redis_url)) == sorted(sent)


FIRST_MESSAGE = """
producer = Producer(url)
before = set(sys.modules)
producer.send(UPDATE)
producer.close()
report(imported=sorted(set(sys.modules) - before))
"""
FIRST_QUESTION = """
client = OutcomeClient(url)
before = set(sys.modules)
client.position()
report(imported=sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize("script", [FIRST_MESSAGE, FIRST_QUESTION], ids=["producer", "client"])
def test_the_first_connection_imports_nothing(redis_url: str, script: str) -> None:
    """A child that is forked meanwhile would have a module that is never imported to its end."""
    assert run(script, redis_url) == [{"imported": []}]


def test_the_first_connection_to_rabbitmq_imports_nothing(rabbitmq: RabbitMQ) -> None:
    """Nor does one of kombu's."""
    assert run(FIRST_MESSAGE, rabbitmq.url) == [{"imported": []}]


def test_a_closed_producer_is_closed_in_a_child(redis_url: str) -> None:
    """It says so there, too."""
    script = """
producer = Producer(url)
producer.close()
def child():
    try:
        producer.send(UPDATE)
    except NotSentError as error:
        report(error=str(error))
in_child(child)
"""
    (report,) = run(script, redis_url)
    assert "closed" in report["error"]


def test_a_child_reads_with_its_parents_client(redis_url: str) -> None:
    """Both go on, each on a connection of its own."""
    script = """
from settle_client.redis_server import open_client
client = OutcomeClient(url)
names = ("account_id", "event_type", "created_at", "completed_at", "failed_at")
told = {"id": "ev_1", "updated": True, "status": "completed", "reason": None, "message_id": "m"}
outcome = Outcome(**told, **dict.fromkeys(names))
def publish():
    open_client(url, asynchronous=False).xadd("event-outcomes", {"outcome": outcome.to_json()})
def read():
    since = client.position()
    publish()
    report(read=[came.id for came in client.wait({"m": ["ev_1"]}, timeout_seconds=60, since=since)])
read()
in_child(lambda: [read() for _ in range(10)])
[read() for _ in range(10)]
client.close()
"""
    assert run(script, redis_url) == [{"read": ["ev_1"]}] * 21


def test_a_child_does_not_listen_for_its_parent(redis_url: str) -> None:
    """It would take from it what is on its way."""
    script = """
with OutcomeClient(url).subscribe() as outcomes:
    def child():
        try:
            next(outcomes)
        except BelongsElsewhereError as error:
            report(error=str(error))
    in_child(child)
"""
    (report,) = run(script, redis_url)
    assert "subscribe in the child" in report["error"]


@pytest.mark.parametrize("use", ["producer.send(UPDATE)", "producer.close()", "client.position()"])
def test_asyncios_face_says_that_it_belongs_to_the_parent(redis_url: str, use: str) -> None:
    """Its connections are of the parent's event loop."""
    script = f"""
producer, client = AsyncProducer(url), AsyncOutcomeClient(url)
async def parent():
    report(sent=await producer.send(UPDATE))
    await client.position()
    await producer.flush()
async def use():
    await {use}
def child():
    try:
        asyncio.run(use())
    except BelongsElsewhereError as error:
        report(error=str(error))
async def end():
    await producer.close()
    await client.close()
with asyncio.Runner() as runner:
    runner.run(parent())
    in_child(child)
    runner.run(end())
"""
    sent, report = run(script, redis_url)
    assert "before the process was forked: make one in the child" in report["error"]
    assert in_queue(redis_url) == [sent["sent"]]


def test_asyncios_face_that_was_not_used_may_be_used_in_a_child(redis_url: str) -> None:
    """As a server does that loads its application before it forks."""
    script = """
producer = AsyncProducer(url)
async def send():
    async with producer:
        report(sent=await producer.send(UPDATE))
in_child(lambda: asyncio.run(send()))
"""
    (report,) = run(script, redis_url)
    assert in_queue(redis_url) == [report["sent"]]
